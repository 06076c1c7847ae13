"""Small published configs of mixtures of experts."""

from typing import Any

_TINY = {
    "vocab_size": 97, "hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 40,
    "max_position_embeddings": 256, "tie_word_embeddings": False,
}  # fmt: skip
_DEEPSEEK = {
    **_TINY, "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "num_key_value_heads": 4,
    "moe_intermediate_size": 24, "n_routed_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 1,
    "kv_lora_rank": 16, "q_lora_rank": 20, "qk_rope_head_dim": 8, "qk_nope_head_dim": 12, "v_head_dim": 10,
    "n_group": 4, "topk_group": 2, "norm_topk_prob": True, "routed_scaling_factor": 2.5, "rms_norm_eps": 1e-6,
}  # fmt: skip

MOE: dict[str, dict[str, Any]] = {
    "mixtral": {
        **_TINY, "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_hidden_layers": 3,
        "num_key_value_heads": 2, "num_local_experts": 5, "num_experts_per_tok": 2, "rms_norm_eps": 1e-5,
        "rope_theta": 1e6, "sliding_window": None,
    },
    "mixtral-windows": {
        **_TINY, "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_hidden_layers": 2,
        "num_key_value_heads": 1, "num_local_experts": 3, "num_experts_per_tok": 1, "rms_norm_eps": 1e-6,
        "rope_theta": 1e4, "sliding_window": 6, "tie_word_embeddings": True,
    },
    "qwen3_moe": {
        **_TINY, "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_hidden_layers": 3,
        "num_key_value_heads": 2, "head_dim": 16, "moe_intermediate_size": 24, "num_experts": 5,
        "num_experts_per_tok": 2, "norm_topk_prob": True, "mlp_only_layers": [1], "decoder_sparse_step": 1,
        "rope_theta": 1e6, "use_sliding_window": False,
    },
    "qwen3_moe-sparse": {
        **_TINY, "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_hidden_layers": 2,
        "num_key_value_heads": 1, "head_dim": 20, "moe_intermediate_size": 16, "num_experts": 6,
        "num_experts_per_tok": 3, "norm_topk_prob": False, "mlp_only_layers": [], "decoder_sparse_step": 1,
        "rope_theta": 1e4, "use_sliding_window": False, "tie_word_embeddings": True,
    },
    "deepseek_v3": {**_DEEPSEEK, "num_hidden_layers": 3, "first_k_dense_replace": 1, "rope_theta": 10000.0},
    "deepseek_v3 yarn": {
        **_DEEPSEEK, "num_hidden_layers": 2, "first_k_dense_replace": 0, "q_lora_rank": None, "n_shared_experts": 2,
        "rope_theta": 10000.0, "rope_interleave": True,
        "rope_scaling": {
            "rope_type": "yarn", "type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32,
            "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0,
        },
    },
    "gpt_oss": {
        **_TINY, "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "num_hidden_layers": 3,
        "num_key_value_heads": 2, "head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2,
        "sliding_window": 7, "rms_norm_eps": 1e-5, "attention_bias": True, "rope_theta": 150000.0,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "rope_scaling": {
            "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32, "beta_fast": 32.0,
            "beta_slow": 1.0, "truncate": False,
        },
    },
    "gpt_oss-even": {
        **_TINY, "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "num_hidden_layers": 4,
        "num_key_value_heads": 1, "head_dim": 12, "num_local_experts": 3, "num_experts_per_tok": 3,
        "sliding_window": 5, "rms_norm_eps": 1e-6, "attention_bias": True, "rope_theta": 1e4,
        "layer_types": ["full_attention", "sliding_attention", "full_attention", "sliding_attention"],
        "rope_scaling": {
            "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 16.0,
            "beta_slow": 2.0, "truncate": False,
        },
    },
}  # fmt: skip

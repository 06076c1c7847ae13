"""Small published configs of families with dense feed-forward layers, two or more each."""

from typing import Any

_TINY = {"vocab_size": 97, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 80}
_GROUPED = {**_TINY, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 256}


def _named(architecture: str, kind: str, *values: dict[str, Any], **others: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"architectures": [architecture], "model_type": kind}
    for part in (*values, others):
        found |= part
    return found


_GPT2 = {"vocab_size": 97, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 200}
_NEOX = {**_TINY, "hidden_size": 64, "max_position_embeddings": 256}
_GEMMA = {**_GROUPED, "head_dim": 16, "pad_token_id": 0}
_WINDOW = {"sliding_window": 7}
_LONGROPE = {
    "max_position_embeddings": 400, "original_max_position_embeddings": 100,
    "rope_scaling": {
        "type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5],
        "long_factor": [1.0, 1.5, 2.0, 3.5, 5.0, 8.0],
    },
}  # fmt: skip

DENSE: dict[str, dict[str, Any]] = {
    "gpt2": _named("GPT2LMHeadModel", "gpt2", _GPT2),
    "gpt2-untied": _named(
        "GPT2LMHeadModel", "gpt2", _GPT2, n_layer=2, n_head=3, n_inner=72, activation_function="gelu",
        layer_norm_epsilon=1e-6, tie_word_embeddings=False,
    ),
    "qwen2": _named("Qwen2ForCausalLM", "qwen2", _GROUPED, tie_word_embeddings=True, rope_theta=1e6),
    "qwen2-windows": _named(
        "Qwen2ForCausalLM", "qwen2", _GROUPED, _WINDOW, num_hidden_layers=3, num_key_value_heads=1,
        tie_word_embeddings=False, use_sliding_window=True, max_window_layers=1,
    ),
    "qwen2.5-yarn": _named(
        "Qwen2ForCausalLM", "qwen2", _GROUPED, num_hidden_layers=2, tie_word_embeddings=False, rope_theta=1e6,
        rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    ),
    "qwen3": _named(
        "Qwen3ForCausalLM", "qwen3", _GROUPED, head_dim=16, tie_word_embeddings=True, rope_theta=1e6,
        use_sliding_window=False, sliding_window=None,
    ),
    "qwen3-biases": _named(
        "Qwen3ForCausalLM", "qwen3", _GROUPED, _WINDOW, head_dim=8, attention_bias=True, tie_word_embeddings=False,
        use_sliding_window=True, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "gemma": _named("GemmaForCausalLM", "gemma", _GEMMA, num_key_value_heads=1, hidden_act="gelu"),
    "gemma-untied": _named(
        "GemmaForCausalLM", "gemma", _GEMMA, num_hidden_layers=2, num_key_value_heads=4, tie_word_embeddings=False,
        hidden_act="gelu_pytorch_tanh", attention_bias=True,
    ),
    "gemma2": _named("Gemma2ForCausalLM", "gemma2", _GEMMA, _WINDOW, query_pre_attn_scalar=20),
    "gemma2-uncapped": _named(
        "Gemma2ForCausalLM", "gemma2", _GEMMA, _WINDOW, num_hidden_layers=3, query_pre_attn_scalar=16,
        tie_word_embeddings=False, attn_logit_softcapping=None, final_logit_softcapping=5.0,
        layer_types=["full_attention", "full_attention", "sliding_attention"],
    ),
    "gemma3": _named(
        "Gemma3ForCausalLM", "gemma3_text", _GEMMA, _WINDOW, num_hidden_layers=4, query_pre_attn_scalar=20,
        sliding_window_pattern=3, rope_theta=1e6, rope_local_base_freq=1e4,
        rope_scaling={"rope_type": "linear", "factor": 8.0},
    ),
    "gemma3-untied": _named(
        "Gemma3ForCausalLM", "gemma3_text", _GEMMA, _WINDOW, num_key_value_heads=1, query_pre_attn_scalar=16,
        tie_word_embeddings=False, layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 5e5},
            "sliding_attention": {"rope_type": "default", "rope_theta": 2e4},
        },
        final_logit_softcapping=9.0,
    ),
    "phi3": _named("Phi3ForCausalLM", "phi3", _GROUPED, _WINDOW, pad_token_id=0, tie_word_embeddings=False),
    "phi3-longrope": _named(
        "Phi3ForCausalLM", "phi3", _GROUPED, _LONGROPE, num_hidden_layers=2, num_key_value_heads=4, pad_token_id=0,
        tie_word_embeddings=True,
    ),
    "phi3-partial": _named(
        "Phi3ForCausalLM", "phi3", _GROUPED, num_hidden_layers=2, hidden_size=64, pad_token_id=0,
        partial_rotary_factor=0.75, tie_word_embeddings=True,
    ),
    "olmo2": _named("Olmo2ForCausalLM", "olmo2", _GROUPED, rope_theta=5e5, tie_word_embeddings=False),
    "olmo2-tied": _named(
        "Olmo2ForCausalLM", "olmo2", _GROUPED, num_hidden_layers=2, num_key_value_heads=4, attention_bias=True,
        tie_word_embeddings=True,
        rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    ),
    "pythia": _named("GPTNeoXForCausalLM", "gpt_neox", _NEOX, rotary_pct=0.25, tie_word_embeddings=False),
    "gpt-neox-sequential": _named(
        "GPTNeoXForCausalLM", "gpt_neox", _NEOX, num_hidden_layers=2, rotary_pct=0.5, rotary_emb_base=50_000,
        use_parallel_residual=False, attention_bias=False, hidden_act="gelu_fast", layer_norm_eps=1e-6,
        tie_word_embeddings=True, rope_scaling={"type": "linear", "factor": 4.0},
    ),
}  # fmt: skip

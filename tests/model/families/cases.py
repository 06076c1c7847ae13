"""Small published configs, one or more a family, for goldens and for live parity."""

from typing import Any

from tests.model.families.cases_dense import DENSE
from tests.model.families.moe_cases import MOE

_TINY = {"vocab_size": 97, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 80}

LLAMA: dict[str, dict[str, Any]] = {
    "llama": {
        **_TINY, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "max_position_embeddings": 256, "rope_theta": 10000.0,
    },
    "llama3.1": {
        **_TINY, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_key_value_heads": 1,
        "head_dim": 16, "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "max_position_embeddings": 256,
        "rope_theta": 500000.0, "attention_bias": True, "mlp_bias": True,
        "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
    "mistral": {
        **_TINY, "architectures": ["MistralForCausalLM"], "model_type": "mistral", "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "max_position_embeddings": 256, "rope_theta": 10000.0,
        "sliding_window": 7,
    },
    "mistral-whole": {
        **_TINY, "architectures": ["MistralForCausalLM"], "model_type": "mistral", "num_key_value_heads": 1,
        "num_hidden_layers": 2, "head_dim": 10, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
        "max_position_embeddings": 256, "rope_theta": 1e6, "sliding_window": None,
    },
}  # fmt: skip

CASES: dict[str, dict[str, Any]] = {**LLAMA, **DENSE, **MOE}

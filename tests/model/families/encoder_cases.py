"""Small published configs of encoders and encoder-decoders."""

from typing import Any

_BERT = {
    "vocab_size": 97, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 80,
    "max_position_embeddings": 64,
}  # fmt: skip
_T5 = {
    "vocab_size": 97, "d_model": 48, "d_kv": 8, "d_ff": 80, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 4,
    "relative_attention_num_buckets": 8, "relative_attention_max_distance": 20, "decoder_start_token_id": 0,
    "architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True,
    "pad_token_id": 0, "eos_token_id": 1,
}  # fmt: skip

MASKED: dict[str, dict[str, Any]] = {
    "bert": {**_BERT, "architectures": ["BertForMaskedLM"], "model_type": "bert"},
    "bert relu": {
        **_BERT, "architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_act": "relu",
        "num_hidden_layers": 2, "type_vocab_size": 3,
    },
    "roberta": {
        **_BERT, "architectures": ["RobertaForMaskedLM"], "model_type": "roberta", "type_vocab_size": 1,
        "layer_norm_eps": 1e-5, "pad_token_id": 1, "max_position_embeddings": 66,
    },
    "roberta deep": {
        **_BERT, "architectures": ["RobertaForMaskedLM"], "model_type": "roberta", "type_vocab_size": 1,
        "layer_norm_eps": 1e-6, "pad_token_id": 1, "max_position_embeddings": 42, "num_hidden_layers": 5,
        "num_attention_heads": 6, "hidden_act": "gelu_new",
    },
}  # fmt: skip

SEQUENCE: dict[str, dict[str, Any]] = {
    "t5": {**_T5, "tie_word_embeddings": True, "feed_forward_proj": "relu"},
    "t5 v1.1": {
        **_T5, "tie_word_embeddings": False, "feed_forward_proj": "gated-gelu", "num_layers": 3, "num_heads": 3
    },
}  # fmt: skip

"""Text to token ids and back."""

from data.tokenizers.base import Tokenizer, TokenizerSpec
from data.tokenizers.byte import Bytes, ByteTokenizer
from data.tokenizers.character import Characters, CharacterTokenizer
from data.tokenizers.hugging_face import HuggingFace, HuggingFaceTokenizer
from data.tokenizers.saved import SavedTokenizer, load_tokenizer, tokenizer_at
from data.tokenizers.sentence_piece import SentencePiece, SentencePieceTokenizer
from data.tokenizers.special import sentinels
from data.tokenizers.trained_on import TrainedOn

__all__ = [
    "ByteTokenizer",
    "Bytes",
    "CharacterTokenizer",
    "Characters",
    "HuggingFace",
    "HuggingFaceTokenizer",
    "SavedTokenizer",
    "SentencePiece",
    "SentencePieceTokenizer",
    "Tokenizer",
    "TokenizerSpec",
    "TrainedOn",
    "load_tokenizer",
    "sentinels",
    "tokenizer_at",
]

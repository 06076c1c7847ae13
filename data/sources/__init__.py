"""Where documents come from."""

from data.sources.base import BadRecord, Record, Shard, Source
from data.sources.copies import Copies
from data.sources.csv import Csv
from data.sources.curated import CuratedDocuments
from data.sources.html_files import HtmlFiles
from data.sources.hugging_face import HuggingFaceDataset
from data.sources.invented_language import InventedLanguage
from data.sources.joined import Joined
from data.sources.json_lines import JsonLines
from data.sources.modular_arithmetic import ModularArithmetic
from data.sources.parquet import Parquet
from data.sources.python_docs import PythonDocs, PythonNames
from data.sources.repeats import Repeats
from data.sources.share import Share
from data.sources.text_files import TextFiles
from data.sources.text_units import Delimiter, Lines, Paragraphs, TextUnit, WholeFile
from data.sources.tfds import Tfds
from data.sources.warc import Warc

__all__ = [
    "BadRecord",
    "Copies",
    "Csv",
    "CuratedDocuments",
    "Delimiter",
    "HtmlFiles",
    "HuggingFaceDataset",
    "InventedLanguage",
    "Joined",
    "JsonLines",
    "Lines",
    "ModularArithmetic",
    "Paragraphs",
    "Parquet",
    "PythonDocs",
    "PythonNames",
    "Record",
    "Repeats",
    "Shard",
    "Share",
    "Source",
    "TextFiles",
    "TextUnit",
    "Tfds",
    "Warc",
    "WholeFile",
]

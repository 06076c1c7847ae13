"""Where documents come from."""

from data.sources.base import BadRecord, Record, Shard, Source
from data.sources.curated import CuratedDocuments
from data.sources.json_lines import JsonLines
from data.sources.python_docs import PythonDocs
from data.sources.text_files import TextFiles
from data.sources.tfds import Tfds

__all__ = ["BadRecord", "CuratedDocuments", "JsonLines", "PythonDocs", "Record", "Shard", "Source", "TextFiles", "Tfds"]

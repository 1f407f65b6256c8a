"""Write a batch to a file: JSONL, CSV, Parquet, or the two files of OpenAI's Batch API.

A file is there whole or not at all: it is written beside its place and moved there at the end.
"""

from promptmill.producer.export.export import (
    USUAL_COLUMNS,
    Exported,
    ExportRequest,
    Format,
    What,
    export,
    format_of,
)

__all__ = ["USUAL_COLUMNS", "ExportRequest", "Exported", "Format", "What", "export", "format_of"]

"""Python code that reads files into a pandas frame, for messages that a user runs."""

from domain.config.source import Source

__all__ = ["reader_code"]

_PARQUET, _LINES, _SHEETS = (".parquet", ".pq"), (".jsonl", ".ndjson"), (".xlsx", ".xls", ".xlsb", ".ods")


def reader_code(source: Source, first: str, files: int) -> list[str]:
    """Lines of code, imports included, that read a source into `frame`.

    Parameters
    ----------
    first : address of the first file, whose name tells the format. files : number of files.
    """
    name = first.lower().removesuffix(".gz")
    if name.endswith(_PARQUET) and "_delta_log" not in first and "*" not in source.path:
        return ["import pandas as pd", f"frame = pd.read_parquet({source.path!r})"]
    reader = _reader(source, name)
    if files == 1 and "." in _name(source.path):
        return ["import pandas as pd", f"frame = {reader.format(file=repr(source.path))}"]
    pattern = source.path if "*" in source.path else f"{source.path.rstrip('/')}/**/*{_suffixes(first)}"
    listed = f"sorted(glob.glob({pattern!r}, recursive=True))"
    return [
        "import glob",
        "import pandas as pd",
        f"frame = pd.concat({reader.format(file='file')} for file in {listed})",
    ]


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _suffixes(uri: str) -> str:
    """The end of a file's name that tells its format: `.csv.gz`."""
    zipped = ".gz" if uri.endswith(".gz") else ""
    return f".{_name(uri).removesuffix('.gz').rpartition('.')[2]}{zipped}"


def _reader(source: Source, name: str) -> str:
    """Code with `{file}` for the file."""
    if name.endswith(_PARQUET):
        return "pd.read_parquet({file})"
    if name.endswith(_LINES):
        return "pd.read_json({file}, lines=True)"
    if name.endswith(_SHEETS):
        return 'pd.read_excel({file}, engine="calamine")'
    tabs = name.endswith(".tsv") and source.delimiter == ","
    thousands = "" if source.thousands in ("auto", "none") else source.thousands
    settings: dict[str, tuple[object, object]] = {
        "sep": ("\t" if tabs else source.delimiter, ","),
        "skiprows": (source.skip_rows, 0),
        "decimal": (source.decimal, "."),
        "thousands": (thousands, ""),
        "encoding": (source.encoding, "utf-8"),
    }
    arguments = "".join(f", {key}={value!r}" for key, (value, default) in settings.items() if value != default)
    return "pd.read_csv({file}" + arguments.replace("{", "{{").replace("}", "}}") + ")"

"""The version: of the package, of the report that asks for it, of the User-Agent."""

__version__ = "0.1.0"

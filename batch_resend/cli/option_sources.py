"""Where an option's value comes from: the command line, a variable, the file, a default.

A flag beats its variable, which beats the file of --config, which beats the default. The
parser itself decides between them: what the file says is its `default_map`. So the file
speaks for the options that have a variable, and for USERS; what has none (the age of what a
`purge` erases, say) is taken from the command line alone.

Where several pools are chosen the parser first reads what is for all of them: what stands
above the tables. `of_each_pool` then has it read the same command line once for each pool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batch_resend.errors import UsageError
from batch_resend.masking import printable

if TYPE_CHECKING:
    from batch_resend.cli.config_file import ConfigFile, Entry, Kind
    from batch_resend.cli.option import Option

_ABOUT_THE_FILE = ("config", "pool", "all_pools")


@dataclass(frozen=True, slots=True)
class FileDefaults:
    """The values of the file of --config for one reading of a command line."""

    arguments: tuple[str, ...] = ()  #: of the command, as they were typed
    file: ConfigFile | None = None
    pools: tuple[str, ...] = ()  #: the names of the pools that are chosen
    entries: Mapping[str, Entry] = field(default_factory=dict)  #: its values, by key

    def of_pool(self, name: str) -> FileDefaults:
        """Return the file's values for one of several pools."""
        values = {} if self.file is None else self.file.values(name)
        return FileDefaults(self.arguments, self.file, (name,), values)

    def default_map(self, rows: Mapping[str, Option]) -> dict[str, Any]:
        """Return the values as the parser takes them, by the names of the parameters."""
        return {
            name: self.entries[row.key].value
            for name, row in rows.items()
            if row.key in self.entries and _is_of_the_file(row)
        }


def file_defaults(context: Any, arguments: list[str], chosen: Mapping[str, Any]) -> FileDefaults:
    """Read the file for the values of --config, --pool and --all-pools; raises `UsageError`."""
    config, pools, every = (chosen.get(name) for name in _ABOUT_THE_FILE)
    pools = list(pools or ())
    if every and pools:
        raise UsageError("--all-pools and --pool cannot be combined.")
    if config is None:
        if every:
            raise UsageError("--all-pools needs --config: the file with a table for each pool.")
        if pools:
            name = printable(pools[0])
            raise UsageError(f"--pool {name} needs --config: the file with a table [pools.{name}].")
        return FileDefaults(tuple(arguments))
    from batch_resend.cli import config_file

    file = config_file.read(config, _keys(context))
    if every and not file.pools:
        raise UsageError(f"--all-pools finds no table [pools.NAME] in {file.path}.")
    names = tuple(dict.fromkeys(file.pools if every else pools))
    if len(names) > 1 and "all_pools" not in chosen:
        raise UsageError(f"--pool is given {len(pools)} times, and this is about one pool.")
    values = [file.values(name) for name in names]  # all of them are there
    if not names:
        values = [file.values(None)]  # refused where the file is for several pools
    defaults = file.common if len(names) > 1 else values[0]
    return FileDefaults(tuple(arguments), file, names, defaults)


def pools(context: Any) -> list[str]:
    """Return the names of the pools that are chosen."""
    return list(context.obj.pools)


def of_each_pool(context: Any) -> Iterator[tuple[str, Any]]:
    """Read the command line once for each of the pools; yield its name and its context."""
    for_all: FileDefaults = context.obj
    for name in for_all.pools:
        own = for_all.of_pool(name)
        try:
            yield (
                name,
                context.command.make_context(
                    context.info_name, list(own.arguments), parent=context.parent, obj=own
                ),
            )
        except UsageError as error:
            raise UsageError(f"Pool {printable(name)}: {error}") from None


def _is_of_the_file(row: Option) -> bool:
    return row.name == "users" or (row.variable is not None and row.name not in _ABOUT_THE_FILE)


def _keys(context: Any) -> dict[str, Kind]:
    """Return what the file can speak of: the options of all commands, for it serves them all."""
    keys: dict[str, Kind] = {}
    for row in _rows(context.find_root().command):
        if _is_of_the_file(row):
            keys.setdefault(row.key, _kind(row))
    return keys


def _rows(command: Any) -> Iterator[Option]:
    yield from getattr(command, "rows", {}).values()
    for below in getattr(command, "commands", {}).values():
        yield from _rows(below)


def _kind(row: Option) -> Kind:
    from batch_resend.cli.config_file import Kind

    if row.is_switch:
        return Kind.SWITCH
    if row.repeat:
        return Kind.PAIRS if row.pairs else Kind.LIST
    return Kind.PATH if row.is_path else Kind.TEXT


def variables(command: Any) -> set[str]:
    """Return the variables of a command and of the ones below it."""
    return {row.variable for row in _rows(command) if row.variable}


def origin(context: Any, row: Option) -> tuple[str, str]:
    """Return where a value comes from: `flag`, `variable`, `file` or `default`, and which."""
    source = context.get_parameter_source(row.name)
    name = source.name if source else "DEFAULT"
    if name == "COMMANDLINE":
        return "flag", ""
    if name == "ENVIRONMENT":
        return "variable", row.variable or ""
    if name == "DEFAULT_MAP":
        return "file", context.obj.entries[row.key].where
    return "default", ""


def origins(context: Any, sentence: str) -> str:
    """Return a sentence for each option in this one that was set, and not typed."""
    more = []
    for row in getattr(context.command, "rows", {}).values():
        if re.search(rf"(?<![\w-]){re.escape(row.option)}(?![\w-])", sentence):
            kind, where = origin(context, row)
            by = {"variable": "by", "file": "in"}.get(kind)
            if by and f"{row.option} is set {by}" not in sentence:
                more.append(f" {row.option} is set {by} {where}.")
    return "".join(more)

"""What an option is: one row, of which everything else is made.

The command's signature, the environment variable, the key of the configuration file, the
text of the help and the setting all come from the row; the default comes from `Settings`.
What is typed stays text until `read` parses it, so that one kind of sentence says what is
wrong with a value, wherever the value was set.
"""

from __future__ import annotations

import functools
import inspect
import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

Parser = Callable[[str, str], Any]  #: of the option's name and what was typed

_PATHS = {"FILE", "PATH", "USERS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of a command, or an argument: `flag` is then a word without dashes."""

    flag: str  #: such as `--dry-run`; `--on/--off` is a switch with three positions
    metavar: str = ""  #: what stands for the value; empty for a switch
    panel: str = ""
    help: str
    short: str = ""  #: such as `-n`
    field: str = ""  #: of `Settings`, where it is not called as the option
    parse: Parser | None = None  #: of one value; without it the text is the value
    repeat: bool = False
    pairs: bool = False  #: KEY=VALUE, for which the file may have a table
    default: str = ""  #: as it would be typed, where `Settings` has none or calls it None
    otherwise: str = ""  #: what happens where it is left out, in words
    note: str = ""  #: what the reference page says besides, in Markdown
    environment: bool = True
    complete: Callable[..., list[str]] | None = None  #: the values that a shell offers

    @property
    def option(self) -> str:
        """The name that is typed: without the second one of a switch."""
        return self.flag.partition("/")[0]

    @property
    def name(self) -> str:
        """The parameter of the command."""
        name = self.option.lstrip("-").lower().replace("-", "_")
        return f"{name}_" if keyword.iskeyword(name) else name

    @property
    def key(self) -> str:
        """The key of the configuration file."""
        return self.option.lstrip("-").lower()

    @property
    def setting(self) -> str:
        """The field of `Settings`, for an option that is one."""
        return self.field or self.name

    @property
    def is_argument(self) -> bool:
        """Whether it stands in its place, without a name."""
        return not self.flag.startswith("-")

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar

    @property
    def is_path(self) -> bool:
        """Whether the value names a file."""
        return self.metavar in _PATHS

    @property
    def variable(self) -> str | None:
        """The environment variable."""
        if self.is_argument or not self.environment:
            return None
        return "BATCH_RESEND_" + self.name.upper()

    @property
    def shown(self) -> str:
        """How the help writes it: names, and what stands for the value."""
        if self.is_argument:
            return self.metavar
        names = ", ".join(filter(None, (self.short, self.flag.replace("/", ", "))))
        return f"{names} {self.metavar}".rstrip()

    def default_text(self) -> str:
        """Return the default as it would be typed: that of `Settings`; "" where there is none."""
        if self.default or self.is_switch or self.is_argument:
            return self.default
        from batch_resend.run.next_command import as_typed
        from batch_resend.settings import Settings

        field = Settings.__dataclass_fields__.get(self.setting)
        value = field.default if field else None
        return "" if value in (None, "", ()) else as_typed(self.setting, value)[0]

    def help_with_default(self) -> str:
        """Return the help, with what happens where the option is left out."""
        default = self.default_text() or self.otherwise
        return f"{self.help} (default: {default})" if default else self.help

    def read(self, typed: Any) -> Any:
        """Parse the typed value, or that of the file; raises `UsageError`."""
        if self.is_switch:
            return not typed if self.field and self.name == f"no_{self.field}" else typed
        if self.repeat:
            values = [self.parse(self.option, one) if self.parse else one for one in typed]
            return tuple(values)
        return self.parse(self.option, typed) if self.parse else typed

    def parameter(self) -> inspect.Parameter:
        """Make the parameter that the command's signature has for it."""
        kind: Any = bool if self.is_switch else list[str] if self.repeat else str
        more: dict[str, Any] = {
            "help": self.help,
            "metavar": self.metavar,
            "show_default": False,
            "autocompletion": self.complete,
        }
        if self.is_argument:
            declaration = typer.Argument(**more)
        else:
            names = [self.flag, self.short] if self.short else [self.flag]
            declaration = typer.Option(
                *names, envvar=self.variable, show_envvar=False,
                rich_help_panel=self.panel or None, **more,
            )  # fmt: skip
        default = False if self.is_switch and "/" not in self.flag else None
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[kind | None if default is None else kind, declaration],
        )


Values = Mapping[str, Any]  #: what was typed, by the names of the parameters
Body = Callable[[typer.Context, Values], int]


def taking(*rows: Option) -> Callable[[Body], Callable[..., int]]:
    """Make a command of a function: these are its options."""

    def decorate(body: Body) -> Callable[..., int]:
        @functools.wraps(body)
        def command(context: typer.Context, **typed: Any) -> int:
            return body(context, typed)

        first = inspect.Parameter(
            "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
        )
        parameters = [first, *(row.parameter() for row in rows)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {}
        command.rows = rows  # type: ignore[attr-defined]
        return command

    return decorate


def read(rows: Sequence[Option], typed: Values) -> dict[str, Any]:
    """Parse all that was typed, by the names of the settings; raises `UsageError`."""
    values = {}
    for row in rows:
        value = typed.get(row.name)
        if value is None or value == [] or (value is False and "/" not in row.flag):
            continue
        values[row.setting] = row.read(value)
    return values

"""`llm-judge policy new`: a policy and its cases from the answers to a few questions."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.errors import OutputError, UsageError

if TYPE_CHECKING:
    from llm_judge.policy.scaffold import Answers

_QUESTIONS = {
    "id": "Id, the group and the name in lower case, such as safety/hate",
    "title": "Title, the name for people",
    "summary": "What does it cover, in one sentence?",
    "violates": "What breaks the first rule? One condition that can be seen or heard",
    "severity": "How bad is that? 1 a nuisance, 2 unpleasant, 3 harmful, 4 serious, 5 danger to life",
    "exempt": "When is it still allowed? Such as news: Reports on it. Nothing: Enter",
}
_OPTIONAL = {"severity": "3", "exempt": ""}


def new(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="The folder of policies.", show_default=True)
    ] = Path("policies"),
    policy_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Such as `safety/hate`.")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Its name for people.")] = None,
    summary: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it covers, in one sentence.")
    ] = None,
    violates: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The condition that breaks the first rule.")
    ] = None,
    severity: Annotated[str | None, typer.Option(metavar="1-5", help="How bad that is.")] = None,
    exempt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="When it is still allowed, such as `news: Reports on it.`"),
    ] = None,
    owner: Annotated[str, typer.Option(metavar="TEXT", help="The team to ask about it.")] = "policy-team",
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Ask nothing: severity 3 and no exemption where they are left out."),
    ] = False,
) -> None:
    """Start a policy: five questions, and an optional exemption; then two files with gaps to fill in.

    An answer can be given as an option instead; each is checked at once. No file is ever overwritten.

      llm-judge policy new

      llm-judge policy new house --id safety/noise --title "Loud noise" --summary "Sounds that can hurt
      listeners." --violates "Plays a sudden scream at full volume." --severity 2 --yes
    """
    from llm_judge.policy.scaffold import Answers

    given = {
        "id": policy_id,
        "title": title,
        "summary": summary,
        "violates": violates,
        "severity": severity,
        "exempt": exempt,
    }
    _check_owner(owner)
    if yes and (missing := [f"--{name}" for name in given if given[name] is None and name not in _OPTIONAL]):
        raise UsageError(f"`--yes` needs {', '.join(missing)}", "give them, or leave `--yes` out")
    # What was given is checked before the first question is asked.
    answers = {name: _checked(name, text, folder) for name, text in given.items() if text is not None}
    for name in given:
        if name not in answers:
            answers[name] = _OPTIONAL[name] if yes else _ask(name, folder)
    _write(Answers(**answers, owner=owner), folder)


def _check_owner(owner: str) -> None:
    from llm_judge.policy.scaffold import problems

    if wrong := problems("owner", owner)[1]:
        raise UsageError(f"--owner: {wrong}")


def _checked(name: str, answer: str, folder: Path) -> str:
    """Return an answer given as an option; raises ``UsageError`` where it is wrong."""
    if wrong := _problem(name, answer, folder):
        raise UsageError(f"--{name}: {wrong}")
    return answer


def _problem(name: str, answer: str, folder: Path) -> str | None:
    """Return what is wrong with an answer; warnings are shown and the answer is taken."""
    from llm_judge.policy.scaffold import problems

    found, wrong = problems(name, answer)
    for each in found:
        typer.echo(f"  note: {each.message}" + (f"; {each.help}" if each.help else ""), err=True)
    if name == "id" and not wrong:
        path = folder / f"{answer.strip()}.yaml"
        taken = [each for each in (path, path.with_suffix(".cases.yaml")) if each.exists()]
        return f"`{taken[0]}` is already there" if taken else None
    return wrong


def _ask(name: str, folder: Path) -> str:
    default = _OPTIONAL.get(name)
    shown = f" [{default}]" if default else ""
    while True:
        typer.echo(f"{_QUESTIONS[name]}{shown}\n> ", err=True, nl=False)
        answer = _read_line(name).strip() or default or ""
        wrong = _problem(name, answer, folder)
        if wrong is None:
            return answer
        typer.echo(f"  {wrong}", err=True)


def _read_line(name: str) -> str:
    try:
        line = sys.stdin.readline()
        line.encode()
    except UnicodeError:
        raise UsageError("the answer is not UTF-8 text", f"give it as --{name}") from None
    if not line:
        typer.echo(err=True)
        raise UsageError(f"no answer for --{name}", "give it as an option, or answer the question")
    return line


def _write(answers: Answers, folder: Path) -> None:
    from llm_judge.policy.file_kind import FileKind
    from llm_judge.policy.format import editor_schema
    from llm_judge.policy.scaffold import new_files

    files = new_files(answers, folder)
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
        except FileExistsError:
            raise OutputError(f"`{path}` is already there", "choose another id") from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"cannot write `{path}`: {reason}", "choose another folder") from None
        typer.echo(f"written: {path}")
    policy, cases = (shlex.quote(str(path)) for path in files)
    steps = [
        (f"check {policy}", "what is still missing"),
        (f"fmt -w {policy} {cases}", "after editing"),
        (f"test {policy}", "judges the cases"),
    ]
    if editor_schema(next(iter(files)), FileKind.POLICY) is None:
        place = shlex.quote(str(folder / "schema"))
        steps.insert(0, (f"schema --out {place}", "once, so that an editor completes keys; `fmt` links it"))
    for command, why in steps:
        typer.echo(f"next: llm-judge policy {command}   # {why}", err=True)

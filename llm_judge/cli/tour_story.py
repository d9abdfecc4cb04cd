"""What happens in the tour of a new policy editor: sentences, edits and commands, in order.

Plain data. Knows nothing about how commands are run or how the page is written.
"""

from __future__ import annotations

from dataclasses import dataclass

JUDGED_CODES = (0, 1, 3)  # what a model finds may differ from machine to machine
POLICY = "guidelines/community/selling.yaml"
CASES = "guidelines/community/selling.cases.yaml"


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one file: ``old`` becomes ``new``; an empty ``old`` stands for the whole file."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Command:
    """One line for the shell.

    Attributes:
        line: what is typed.
        codes: exit codes it may end with.
    """

    line: str
    codes: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the editor does.

    Attributes:
        name: unique; marks the step in the page.
        words: one sentence that says what happens.
        heading: opens a new part of the page.
        edits: made first, and shown as diffs.
        commands: run after the edits; exactly one in a judged step.
        judged: a model answers: the output may differ from machine to machine.
        report: file that the command writes beside its output, read with it for ``names``.
        names: what a judged output or report must name.
    """

    name: str
    words: str
    heading: str = ""
    edits: tuple[Edit, ...] = ()
    commands: tuple[Command, ...] = ()
    judged: bool = False
    report: str = ""
    names: tuple[str, ...] = ()


_NEW = """\
llm-judge policy new guidelines --id community/selling \\
    --title "Selling tickets and pets" \\
    --summary "Offers of tickets and pets that harm the buyer or the animal." \\
    --violates "Offers a ticket for more than its printed price." \\
    --severity 2 \\
    --exempt "charity: The organiser auctions the ticket for a named charity." \\
    --owner market-policy --yes"""

# Keys out of order, spaces and a one-line example are untidy on purpose: `fmt` comes later.
_RULES = """\
    examples:
      - {content: "Two seats for Friday, printed 40, yours for 180.", verdict: violates, because: Too dear.}
  - title: Pet that is too young
    id: SE2
    severty: 3
    violates:   Offers a puppy or kitten that is younger than eight weeks.
    exemptions:
      - when: A shelter looks for a foster home.
        id: shelter
"""
_CASES = """\
schema: 1
policy: community/selling
cases:
  # SE1
  - {content: "Front row for the final, printed 60, take it for 300.", expect: violates, rule: SE1, lang: en}
  - {content: "Festival pass, 90 at the door, mine costs 250.", expect: violates, rule: SE1, lang: en}
  - {content: "I paid 35 for this ticket and sell it for 35.", expect: clear, rule: SE1, lang: en}
  - {content: "Who goes to the concert on Friday?", expect: clear, rule: SE1, lang: en}
  - {content: "Ticket auction: 300 for the clinic.", expect: exmept, rule: SE1, exemption: charity, lang: en}
  # SE2
  - {content: "Five-week-old puppies, ready to go today, 200 each.", expect: violates, rule: SE2, lang: en}
  - {content: "Our kittens are twelve weeks old and can move in.", expect: clear, rule: SE2, lang: en}
"""
_SHELTER = (
    '  - {content: "Shelter seeks a foster home for kittens of four weeks.", '
    "expect: exempt, rule: SE2, exemption: shelter, lang: en}\n"
)
_CONTENTS = tuple(line.split('"')[1] for line in (_CASES + _SHELTER).splitlines() if '"' in line)
_CHARITY = """\
    exemptions:
      - id: charity
        when: The organiser auctions the ticket for a named charity.
"""

STEPS = (
    Step(
        "new",
        "Six answers make a policy and a file of cases, both with gaps to fill in.",
        "1. Start a policy",
        commands=(Command(_NEW), Command(f"cat {POLICY}")),
    ),
    Step(
        "edit",
        "The editor fills the gaps, adds a rule with an exemption, writes cases, and makes three typos.",
        "2. Edit it",
        edits=(
            Edit(POLICY, "status: draft # then test, then stable", "status: stabel"),
            Edit(POLICY, 'title: "[write a name for this rule]"', "title: Ticket above its price"),
            Edit(
                POLICY,
                "    # examples to add: one that violates, one near miss, one for each exemption\n",
                _RULES,
            ),
            Edit(CASES, "", _CASES),
        ),
    ),
    Step(
        "check",
        "All three are found at once, each with its place and the word that was probably meant.",
        "3. Check it",
        commands=(Command("llm-judge policy check guidelines", (1,)),),
    ),
    Step(
        "explain",
        "Every code has a page that says what is checked and why.",
        commands=(Command("llm-judge policy explain P002"),),
    ),
    Step(
        "mend",
        "The messages are enough to mend the files.",
        "4. Mend it",
        edits=(
            Edit(POLICY, "stabel", "stable"),
            Edit(POLICY, "severty", "severity"),
            Edit(CASES, "exmept", "exempt"),
        ),
        commands=(Command("llm-judge policy check guidelines"),),
    ),
    Step(
        "cover",
        "The warning asks for a case of the new exemption, which the editor adds.",
        edits=(Edit(CASES, _CASES.splitlines()[-1] + "\n", _CASES.splitlines()[-1] + "\n" + _SHELTER),),
        commands=(Command("llm-judge policy check guidelines"),),
    ),
    Step(
        "fmt",
        "The new rule was written untidily; `fmt` puts keys, quotes and blank lines into their one form.",
        "5. Tidy it",
        commands=(
            Command("llm-judge policy fmt --diff guidelines"),
            Command("llm-judge policy fmt -w guidelines"),
            Command("llm-judge policy fmt --check guidelines"),
        ),
    ),
    Step(
        "test",
        "Each case is judged by the policy, and the verdict, the rule and the exemption must all be right.",
        "6. Test it",
        commands=(Command("llm-judge policy test guidelines --junit report.xml", JUDGED_CODES),),
        judged=True,
        report="report.xml",
        names=("community/selling", "SE1", "SE2", "1 policy, 8 cases: ", *_CONTENTS),
    ),
    Step(
        "commit",
        "The policy goes into git.",
        "7. Change it",
        commands=(
            Command("git add guidelines"),
            Command('git commit --quiet --message "Add rules for selling tickets and pets"'),
        ),
    ),
    Step(
        "change",
        "Later the first rule is made stricter; to change a rule under an old version number is an error.",
        edits=(
            Edit(POLICY, "severity: 2", "severity: 3"),
            Edit(POLICY, _CHARITY, ""),
            Edit(CASES, "expect: exempt, rule: SE1, exemption: charity", "expect: violates, rule: SE1"),
        ),
        commands=(Command("llm-judge policy check guidelines --base git:HEAD", (1,)),),
    ),
    Step(
        "version",
        "With a new version number it is none, and `diff` says in words what changed.",
        edits=(Edit(POLICY, "version: 0.1.0", "version: 0.2.0"),),
        commands=(
            Command("llm-judge policy check guidelines --base git:HEAD"),
            Command("llm-judge policy diff HEAD guidelines", (1,)),
        ),
    ),
    Step(
        "impact",
        "With `--impact` both versions judge the cases, and those that come out differently are listed.",
        commands=(Command("llm-judge policy diff HEAD guidelines --impact guidelines", JUDGED_CODES),),
        judged=True,
        names=(
            "Policy changes: HEAD → guidelines",
            "SE1: severity 2 → 3",
            "SE1: exemption `charity` removed",
            "8 items judged by both versions of community/selling",
        ),
    ),
    Step(
        "bundle",
        "Guidelines, cases and prompts are packed into one signed file, checked, and put in force.",
        "8. Publish it",
        commands=(
            Command("llm-judge policy bundle keygen market.key"),
            Command(
                "llm-judge policy bundle build --policies guidelines --key market.key --out guidelines.tar"
            ),
            Command("llm-judge policy bundle verify guidelines.tar --key market.key.pub"),
            Command("llm-judge policy bundle install guidelines.tar --into live --key market.key.pub"),
        ),
    ),
    Step("copy", "Somebody takes a copy.", commands=(Command("cp guidelines.tar changed.tar"),)),
    Step(
        "refused",
        "One letter of the copy is changed: it is refused, and the good bundle stays in force.",
        edits=(Edit("changed.tar", "Offers a puppy", "Offers a guppy"),),
        commands=(
            Command("llm-judge policy bundle verify changed.tar --key market.key.pub", (1,)),
            Command("llm-judge policy bundle install changed.tar --into live", (1, 2)),
            Command("llm-judge policy bundle verify live/*.tar --key market.key.pub"),
        ),
    ),
    Step(
        "show",
        "A bundle lists what it holds.",
        commands=(Command("llm-judge policy bundle show guidelines.tar"),),
    ),
)

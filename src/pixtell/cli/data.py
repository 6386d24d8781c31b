"""`pixtell data`: data sets made ready for training.

In: a data set in any format that is read. Out: another, and a report on stdout. The surprising thing: the commands
treat a target that is there differently. `shard` goes on with it, since the same command makes the same tars; `clean`
and `ask` never touch it unless told, since what they write depends on all rows.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixtell.cli.eval_options import DATA, Sources
from pixtell.cli.options import AsJson, grouped
from pixtell.cli.output import put, put_json, say
from pixtell.cli.predict import tell_problems
from pixtell.cli.progress import State, progress

if TYPE_CHECKING:
    from pixtell.data.clean import CleanReport
    from pixtell.data.dataset import Dataset

RULES, TARS = "What is dropped", "Tars"
CLEAN_EXAMPLE = "Example:  pixtell data clean train.jsonl -o clean.jsonl --words offensive.txt"
ASK_EXAMPLE = "Example:  pixtell data ask captions.tar -o questions-%06d.tar --hold-out 200"
SHARD_EXAMPLE = "Example:  pixtell data shard photos/ -o shards/%06d.tar"

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich")


@dataclass(frozen=True)
class WorkOptions:
    """Which rows, and how the machine is used."""

    pictures: Annotated[
        str | None,
        typer.Option(
            "--media", metavar="FOLDER", help="Where pictures or clips lie that files only name.", rich_help_panel=DATA
        ),
    ] = None
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="The part of a file that holds several.", rich_help_panel=DATA)
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Processes that open pictures; one for each core when not given."),
    ] = None

    def open(self, sources: list[str]) -> Dataset:
        """Open the data set, telling what in it can't be used."""
        from pixtell.data.dataset import open_dataset

        dataset = open_dataset(sources, media=self.pictures, split=self.split)
        tell_problems([problem.message for problem in dataset.problems])
        return dataset

    @property
    def processes(self) -> int:
        """How many processes open pictures."""
        return (os.cpu_count() or 1) if self.workers is None else self.workers


@dataclass(frozen=True)
class RuleOptions:
    """What is dropped."""

    words: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Drop texts with these words or phrases, one a line.", rich_help_panel=RULES),
    ] = None
    min_words: Annotated[
        int, typer.Option(metavar="N", min=0, help="Drop captions of fewer words.", rich_help_panel=RULES)
    ] = 3
    max_words: Annotated[
        int, typer.Option(metavar="N", min=1, help="Drop captions of more words.", rich_help_panel=RULES)
    ] = 256
    near: Annotated[
        int,
        typer.Option(
            metavar="BITS",
            min=0,
            max=32,
            help="Pictures look alike that differ in so many of 128 bits.",
            rich_help_panel=RULES,
        ),
    ] = 10
    same_text: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Pictures that may have the same caption.", rich_help_panel=RULES),
    ] = 10
    texts_only: Annotated[
        bool, typer.Option("--texts-only", help="Don't open and compare pictures.", rich_help_panel=RULES)
    ] = False


CleanTarget = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="NAME.jsonl, or NAME-%06d.tar.", show_default=False)
]
ReportFile = Annotated[str | None, typer.Option("--report", metavar="FILE.json", help="Keep the report as JSON, too.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
ShardTarget = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="PATTERN", help="The tars' name with its number: train/%06d.tar.", show_default=False
    ),
]
Rows = Annotated[int, typer.Option("--rows", metavar="N", min=1, help="Rows in a tar.", rich_help_panel=TARS)]
Short = Annotated[
    int, typer.Option("--short-side", metavar="PIXELS", min=1, help="Longest short side.", rich_help_panel=TARS)
]
Long = Annotated[
    int, typer.Option("--long-side", metavar="PIXELS", min=1, help="Longest long side.", rich_help_panel=TARS)
]
HoldOut = Annotated[int, typer.Option("--hold-out", metavar="N", min=0, help="Pictures to measure with.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Decides which questions are asked.")]
Quality = Annotated[
    int, typer.Option("--quality", metavar="N", min=1, max=95, help="Quality of new JPEGs.", rich_help_panel=TARS)
]


def clean(
    sources: Sources,
    output: CleanTarget,
    work: WorkOptions,
    rules: RuleOptions,
    report: ReportFile = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> int:
    """Write a data set again without what spoils a training.

    Dropped are texts with tags for persons' names or with words of a list, captions too short or too long, duplicates
    of pictures and of texts, and what can't be opened. How many of each, and examples, are the output. The exit code is
    1 when anything was broken.
    """
    from pixtell.data.clean import CleanOptions, CleanReport, clean_rows, told
    from pixtell.data.texts import TextRules, WordList
    from pixtell.data.written import claim, write_rows

    banned = WordList.load(Path(rules.words)) if rules.words else WordList()
    options = CleanOptions(
        TextRules(banned, rules.min_words, rules.max_words), rules.near, rules.same_text, not rules.texts_only
    )
    dataset = work.open(sources)
    claim(output, dataset.rows, overwrite)
    found = CleanReport()
    with progress() as tell:
        rows = clean_rows(dataset, options, found, work.processes, lambda done: tell(State(done, len(dataset.rows))))
        files = write_rows(rows, output)
    if as_json:
        put_json(_report(found))
    else:
        put(told(found))
    if report is not None:
        from pixtell.data.whole_file import whole_file

        with whole_file(Path(report)) as file:
            file.write((json.dumps(_report(found), indent=1, ensure_ascii=False) + "\n").encode())
    say(f"{output}: {found.rows_left:,} rows in {files:,} file{'' if files == 1 else 's'}")
    return 1 if found.counts["broken"] or dataset.problems else 0


def shard(
    sources: Sources,
    output: ShardTarget,
    work: WorkOptions,
    rows: Rows = 1000,
    short_side: Short = 384,
    long_side: Long = 640,
    quality: Quality = 90,
) -> int:
    """Write a data set as tars of small pictures, as a training reads them.

    Larger pictures are made smaller with their aspect kept; others, and clips, keep their bytes. The same command goes
    on where it was stopped. Pictures that can't be used are named and left out; then the exit code is 1.
    """
    from pixtell.data.shards import ShardOptions, write_shards

    options = ShardOptions(short_side, long_side, quality, rows)
    dataset = work.open(sources)
    with progress() as tell:
        made = write_shards(
            dataset,
            output,
            options,
            work.processes,
            lambda done, total, broken: tell(State(done, total, (("broken", broken),))),
        )
    tell_problems([problem.message for problem in made.broken])
    put(f"{made.rows:,} rows in {made.tars:,} tars, {len(made.broken):,} broken")
    return 1 if made.broken or dataset.problems else 0


def ask(
    sources: Sources,
    output: CleanTarget,
    work: WorkOptions,
    hold_out: HoldOut = 0,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> int:
    """Make questions from captions: what things are, how many, of which colour, and whether they are there.

    Few for each picture, and so balanced that the question alone seldom gives the answer away; how often it does all
    the same is told. Pictures that are held out go into a file of their own, to measure with.
    """
    from pixtell.data.questions import ask_rows, held_out_target, told
    from pixtell.data.written import claim, write_rows

    dataset = work.open(sources)
    made = ask_rows(dataset.rows, hold_out, seed)
    targets = [(output, made.learnt), *([(held_out_target(output), made.held_out)] if hold_out else [])]
    for target, rows in targets:
        claim(target, rows, overwrite)
    for target, rows in targets:
        write_rows(rows, target)
        say(f"{target}: {len(rows):,} pictures with questions")
    put(told(made))
    return 1 if dataset.problems else 0


def _report(found: CleanReport) -> dict[str, Any]:
    """The report for programs."""
    from pixtell.data.clean import REASONS

    return {
        "rows": found.rows,
        "texts": found.texts,
        "rows_left": found.rows_left,
        "texts_left": found.texts_left,
        "dropped": {
            reason: {
                "count": found.counts[reason],
                "what": words,
                "examples": [asdict(one) for one in found.examples.get(reason, [])],
            }
            for reason, words in REASONS.items()
        },
    }


@app.callback()
def _about() -> None:
    """Make data sets ready for training: clean them, make questions from captions, shard them into tars."""


app.command("clean", epilog=CLEAN_EXAMPLE)(grouped(clean))
app.command("shard", epilog=SHARD_EXAMPLE)(grouped(shard))
app.command("ask", epilog=ASK_EXAMPLE)(grouped(ask))

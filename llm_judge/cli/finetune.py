"""`llm-judge finetune`: training data, training, and what becomes of adapters, one file a command."""

from __future__ import annotations

import typer

from llm_judge.cli import finetune_adapters as adapters_command
from llm_judge.cli import finetune_data as data_command
from llm_judge.cli import finetune_dpo as dpo_command
from llm_judge.cli import finetune_export as export_command
from llm_judge.cli import finetune_gate as gate_command
from llm_judge.cli import finetune_grpo as grpo_command
from llm_judge.cli import finetune_merge as merge_command
from llm_judge.cli import finetune_sft as sft_command
from llm_judge.cli import finetune_tree as tree_command
from llm_judge.cli.extras import require_extra

_NEEDED = ("pyarrow", "scipy", "sklearn")

app = typer.Typer(
    help="Make training data and train the judge.", no_args_is_help=True, rich_markup_mode="rich"
)


@app.callback()
def check_extra() -> None:
    """Make training data and train the judge."""
    require_extra("fine-tuning", "train", _NEEDED)


app.command("data")(data_command.data)
app.command("gate")(gate_command.gate)
app.command("merge")(merge_command.merge)
app.command("export")(export_command.export)
app.command("card")(export_command.card)
app.add_typer(adapters_command.app, name="adapters")
app.command("tree")(tree_command.tree)
app.command("sft")(sft_command.sft)
app.command("dpo")(dpo_command.dpo)
app.command("grpo")(grpo_command.grpo)

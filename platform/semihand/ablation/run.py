"""Run an ablation: sets, pre-trained weights, then every row that is not done, within the budget."""

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

import torch

from semihand.ablation.config import AblationConfig
from semihand.ablation.plans import Cell
from semihand.ablation.results import ResultFolder, RowResult, write_json
from semihand.ablation.row import fit, run_row, source_of
from semihand.ablation.sets import make_sets, read_set
from semihand.ablation.task import Task
from semihand.children import end_with_parent
from semihand.frames.errors import InputError
from semihand.frames.json_files import read_json
from semihand.frames.truth import open_truth
from semihand.methods.semihand.network import HandNetwork
from semihand.methods.semihand.weights import ModelCard, save_model
from semihand.steps.subjects import template_of_frames
from semihand.steps.train import Data

_SETTLED = "config.json"
# What may change from run to run of the same folder.
_FREE = {"campaign", "rows", "row", "domains", "seeds", "first_seed", "budget_minutes", "parallel", "device", "track"}


def run_ablation(config: AblationConfig, say: Callable[[str], None] = print) -> list[Cell]:
    """Run what is not done yet; returns what the budget left undone.

    Raises:
        InputError: a row is not known, or the folder began with another configuration.
    """
    started = time.monotonic()
    plans = config.plans()
    _settle(config)
    results, cells = ResultFolder(config.campaign), config.cells(plans)
    open_cells = [cell for cell, plan in cells.items() if not results.is_done(cell, plan)]
    say(f"{len(cells) - len(open_cells)} of {len(cells)} rows were done already")
    if not open_cells or config.budget_minutes == 0:
        return open_cells
    device = _device(config.device)
    sets = make_sets(config, say)
    source, seed = next(iter(sets.values())).source, config.pretrain.seed
    start = _pretrained(config, source, seed, device, say)
    two = any(plans[cell.row].second_teacher for cell in open_cells)
    second = _pretrained(config, source, seed + 1, device, say) if two else None
    num_open, longest_s = len(open_cells), results.longest_s(cells)
    deadline = None if config.budget_minutes is None else started + 60 * config.budget_minutes

    def task(cell: Cell) -> Task:
        plan, models = plans[cell.row], config.campaign / "models"
        return Task(plan, sets[cell.domain, cell.seed], start, second if plan.second_teacher else None,
                    config.rounds, cell.seed, models, device)  # fmt: skip

    spawn = get_context("spawn")
    with ProcessPoolExecutor(config.parallel, mp_context=spawn, initializer=end_with_parent) as pool:
        done = _in_budget(pool, open_cells, task, config.parallel, deadline, longest_s)
        for cell, result in done:
            results.write(cell, cells[cell], result)
            metrics = result.metrics
            say(f"{cell.domain}, seed {cell.seed}, {cell.row}: EPE {metrics['epe_mm']:.2f} mm, "
                f"{metrics['uv_px']:.2f} px, {metrics['seconds'] / 60:.1f} min")  # fmt: skip
            open_cells.remove(cell)
    if len(open_cells) == num_open:
        longest = f"; the longest so far took {longest_s / 60:.1f} min" if longest_s else ""
        say(f"no row was started: raise --budget-minutes{longest}")
    return open_cells


def _in_budget(
    pool: ProcessPoolExecutor,
    cells: list[Cell],
    task: Callable[[Cell], Task],
    parallel: int,
    deadline: float | None,
    longest: float,
) -> Iterator[tuple[Cell, RowResult]]:
    """Rows as they finish; none is started that would, by the longest so far, end after the deadline."""
    threads = max(1, (os.cpu_count() or 1) // parallel)
    waiting, running = list(cells), dict[Future[RowResult], Cell]()
    while waiting or running:
        while waiting and len(running) < parallel and (deadline is None or time.monotonic() + longest < deadline):
            cell = waiting.pop(0)
            running[pool.submit(_work, task(cell), threads)] = cell
        if not running:
            return
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            result = future.result()
            longest = max(longest, result.metrics["seconds"])
            yield running.pop(future), result


def _work(task: Task, threads: int) -> RowResult:
    torch.set_num_threads(threads)
    return run_row(task)


def _device(asked: str) -> str:
    return ("cuda" if torch.cuda.is_available() else "cpu") if asked == "auto" else asked


def _pretrained(config: AblationConfig, source: Path, seed: int, device: str, say: Callable[[str], None]) -> Path:
    """The weights that all rows start from, or with another seed the second teacher's; trained once."""
    pointer = config.campaign / f"pretrained-{seed}.json"
    if pointer.is_file():
        return config.campaign / "models" / str(json.loads(pointer.read_text())["model"])
    say(f"pre-training for {config.pretrain.num_steps} steps, seed {seed}")
    lengths_mm, palm_mm = template_of_frames(open_truth(read_set(source)))
    card = ModelCard(
        network=config.network,
        crop_margin=config.crop_margin,
        template_mm=lengths_mm.tolist(),
        palm_mm=palm_mm.tolist(),
    )
    fit_config = config.pretrain.model_copy(update={"seed": seed})
    torch.manual_seed(seed)
    network = HandNetwork(config.network).to(device)
    teacher = fit(network, Data(source_of(source, card), None), fit_config)
    model = save_model(teacher, card, config.campaign / "models")
    write_json(pointer, {"model": model.name})
    return model


def _settle(config: AblationConfig) -> None:
    """Write the configuration down, or refuse to mix it with another."""
    config.campaign.mkdir(parents=True, exist_ok=True)
    path = config.campaign / _SETTLED
    ours = config.model_dump(mode="json", exclude=_FREE)
    if not path.is_file():
        write_json(path, ours)
        return
    theirs = read_json(path)
    changed = [name for name in ours if ours[name] != theirs.get(name)]
    if changed:
        raise InputError(
            f"{config.campaign} began with another {', '.join(changed)}; its rows would not be comparable. "
            "Name another folder with --campaign."
        )

"""How often a question without an answer is stopped before a model is asked, and one that has an answer with it.

Questions of XQuAD (https://github.com/google-deepmind/xquad, files `*.ru.json` and `*.en.json`), asked of all of its
paragraphs, and again of those of every other article, where the answer is not. `index.answers.evidence` stops a
question when no paragraph holds enough of its words.

Run: `uv run python benchmarks/abstain.py [--data DIR] [--quick] [--json]`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

from index.answers.evidence import MIN_COVERAGE, coverage

SHARES = (0.3, 0.35, 0.4, 0.45, 0.5)


def measure(file: Path, questions: int) -> dict[float, tuple[float, float]]:
    """Least share of words → (answerable questions that pass, unanswerable ones that are stopped)."""
    articles = json.loads(file.read_text("utf-8"))["data"]
    paragraphs = [(at, part["context"]) for at, article in enumerate(articles) for part in article["paragraphs"]]
    asked = [
        (at, each["question"])
        for at, article in enumerate(articles)
        for part in article["paragraphs"]
        for each in part["qas"]
    ]
    asked = random.Random(0).sample(asked, min(questions, len(asked)))
    held = [[(at, coverage(question, text)) for at, text in paragraphs] for _, question in asked]
    best = [max(share for _, share in each) for each in held]
    elsewhere = [max(share for at, share in each if at != own) for (own, _), each in zip(asked, held, strict=True)]
    return {
        least: (sum(b >= least for b in best) / len(asked), sum(e < least for e in elsewhere) / len(asked))
        for least in SHARES
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "xquad")
    parser.add_argument("--quick", action="store_true", help="60 questions a language instead of all")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    files = {language: sorted(arguments.data.glob(f"*.{language}.json")) for language in ("ru", "en")}
    if not all(files.values()):
        print(f"no XQuAD in {arguments.data}: name its folder with --data", file=sys.stderr)
        return 0 if arguments.quick else 2
    figures: dict[str, float] = {}
    for language, found in files.items():
        for least, (kept, stopped) in measure(found[0], 60 if arguments.quick else 10_000).items():
            mark = "  <- the default" if least == MIN_COVERAGE else ""
            if not arguments.json:
                print(f"{language}: at {least:.0%} of the words, {kept:.1%} of questions with an answer pass, "
                      f"{stopped:.1%} without one are stopped{mark}")  # fmt: skip
            if mark:
                figures |= {f"answerable_kept_{language}": kept, f"unanswerable_stopped_{language}": stopped}
    if arguments.json:
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a task is, and where tasks come from: problems with a scorer, questions with an answer."""

from speciale.tasks.docstrings import docstring_questions
from speciale.tasks.families import FAMILIES, Family
from speciale.tasks.problem import SPLITS, Problem, split_of
from speciale.tasks.reasoning import problems, score

__all__ = [
    "FAMILIES",
    "SPLITS",
    "Family",
    "Problem",
    "docstring_questions",
    "problems",
    "score",
    "split_of",
]

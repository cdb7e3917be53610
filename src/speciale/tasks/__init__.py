"""What a task is, and where tasks come from: problems with a scorer, questions with an answer."""

from speciale.tasks.docstrings import docstring_questions
from speciale.tasks.environment import Environment, Message, Result
from speciale.tasks.families import FAMILIES, Family
from speciale.tasks.problem import SPLITS, Problem, split_of
from speciale.tasks.reasoning import problems, score
from speciale.tasks.sources import load_tasks
from speciale.tasks.task import Attempt, Task, Turn, Verdict

__all__ = [
    "FAMILIES",
    "SPLITS",
    "Attempt",
    "Environment",
    "Family",
    "Message",
    "Problem",
    "Result",
    "Task",
    "Turn",
    "Verdict",
    "docstring_questions",
    "load_tasks",
    "problems",
    "score",
    "split_of",
]

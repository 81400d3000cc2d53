"""Studies as YAML files: from a file to a :class:`StudyConfig`, checked, and from there to a study, and back."""

from .keys import ALLOWED, study_schema
from .opening import list_members, open_study, params_of
from .shipped import shipped_studies
from .study_file import StudyConfig, load_config
from .writing import config_of_study, load_study, save_study, write_config

__all__ = [
    "ALLOWED",
    "StudyConfig",
    "config_of_study",
    "list_members",
    "load_config",
    "load_study",
    "open_study",
    "params_of",
    "save_study",
    "shipped_studies",
    "study_schema",
    "write_config",
]

"""Studies as YAML files: from a file to a :class:`StudyConfig`, checked, and from there to a study."""

from .study_file import ALLOWED, StudyConfig, list_members, load_config, open_study, params_of, shipped_studies

__all__ = ["ALLOWED", "StudyConfig", "list_members", "load_config", "open_study", "params_of", "shipped_studies"]

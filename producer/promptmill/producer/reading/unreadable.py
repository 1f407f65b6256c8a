"""Why a file cannot be read, in plain words."""


def unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Say what *error* of the system or of the codec means: `no such file or directory`."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no text in UTF-8"
    return (error.strerror or str(error)).lower()

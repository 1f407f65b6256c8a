"""Submit prompts, dispatch hints for due jobs, read the results back."""

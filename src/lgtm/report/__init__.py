"""What a run says: its tables, statistics, verdicts, figures and page."""

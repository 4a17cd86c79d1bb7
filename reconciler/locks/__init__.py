"""Who may enter: the admission rule and the wait-for relation. Pure: rows come in as values, verdicts go out."""

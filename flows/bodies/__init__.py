"""What flows do, as functions of a session: the same within a flow of Prefect and without."""

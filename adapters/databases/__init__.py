"""Databases of the user's: tables to read rows from, and tables that get a copy of predictions and of exports."""

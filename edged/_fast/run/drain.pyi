"""The end of an engine's service: nobody new is taken, idle clients go, and what runs has its time."""

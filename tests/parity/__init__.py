"""Can an outsider tell who is a minor? Three ways of trying; ``make parity`` runs them, CI a small one."""

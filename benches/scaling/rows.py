"""The lines of a study's table."""

COLUMNS = ("x", "threads", "stage", "value", "least", "most", "unit", "operations")


def row(x, threads, stage, measured, unit, operations):
    """One line of a table."""
    return {"x": f"{x:g}", "threads": threads, "stage": stage, "value": f"{measured.median:.4g}",
            "least": f"{measured.least:.4g}", "most": f"{measured.most:.4g}", "unit": unit,
            "operations": f"{operations:.6g}"}

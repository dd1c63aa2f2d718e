"""fewtune: fine-tune a pretrained model on few labelled examples, with evidence that it worked.

>>> import fewtune
>>> run = fewtune.train("examples/fault_reports.csv")        # doctest: +SKIP
>>> run.verdict, run.predict(["pump DE brg hot, vib 9 mm/s"])  # doctest: +SKIP
"""

__version__ = "0.1.0"

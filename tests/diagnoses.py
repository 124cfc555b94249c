"""What a router might say of a photo."""

from lorair_cli.restoration.result import Diagnosis, Expert
from lorair_cli.settings import TEN_DEGRADATIONS


def sees(**probabilities):
    """A diagnosis with these probabilities, and an even share of the rest for all other degradations."""
    told = {name.replace("_", "-"): p for name, p in probabilities.items()}
    rest = (1 - sum(told.values())) / (len(TEN_DEGRADATIONS) - len(told))
    likeliest = max(told, key=told.__getitem__)
    return Diagnosis({n: told.get(n, rest) for n in TEN_DEGRADATIONS}, (Expert(likeliest, 1.0),))

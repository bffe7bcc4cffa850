"""Lists on the command line, as argparse takes them."""
import argparse


def numbers(text):
    """Whole numbers from 1, with commas between them."""
    parts = text.split(",")
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers, as in 1,2")
    return [int(part) for part in parts]


def names_of(known):
    """Names out of `known`, with commas between them."""
    def names(text):
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {name!r}, but {', '.join(known)}")
        return text.split(",")
    return names

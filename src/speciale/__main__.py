"""`python -m speciale` is `speciale`; torchrun starts it so."""

from speciale.cli import main

if __name__ == "__main__":
    main()

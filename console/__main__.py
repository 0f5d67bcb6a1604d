"""`python -m console` is `spotter`."""

from console.entry import main

if __name__ == "__main__":
    main()

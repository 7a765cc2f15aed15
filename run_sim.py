"""The front door: `python run_sim.py train`, `python run_sim.py --help`. The same as the command `eqspike`."""

from eqspike.cli import main

if __name__ == "__main__":
    main()

"""The program ``thalweg``: the script that is installed with the package, and ``python -m thalweg``."""
import os
import signal
import sys

from ._core import program


def main():
    """Runs the program with the words of this process's command line, and ends the process with its exit code."""
    # Signals are the program's own from here on. One that was ignored from the start (nohup, a shell's background) stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    name = "thalweg" if os.path.basename(sys.argv[0]) == "__main__.py" else sys.argv[0]
    sys.exit(program([name, *sys.argv[1:]]))


if __name__ == "__main__":
    main()

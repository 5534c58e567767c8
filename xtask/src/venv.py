"""Makes the virtual environment argv[1] with the packages argv[2:]."""
import os
import subprocess
import sys
import venv

PIP = "26.3"

directory, packages = sys.argv[1], sys.argv[2:]
python = os.path.join(directory, "bin", "python")
try:
    venv.create(directory, clear=True, with_pip=True)
    pip = [python, "-m", "pip"]
except (OSError, ImportError, subprocess.CalledProcessError):
    # Debian keeps what makes pip in a package of its own, python3-venv. A wheel of pip runs as it is.
    venv.create(directory, clear=True)
    pip = [python, os.path.join(download_wheel("pip", PIP, "py3-none-any", directory), "pip")]
command = pip + ["install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
sys.exit(subprocess.run(command + packages).returncode)

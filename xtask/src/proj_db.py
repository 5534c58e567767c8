"""Downloads pyproj's wheel into argv[1] and unpacks its proj.db there. Data alone is wanted, so any wheel does."""
import os
import subprocess
import sys
import zipfile

VERSION = "3.8.0"
INSIDE = "pyproj/proj_dir/share/proj/proj.db"
PLATFORM = "manylinux_2_28_x86_64"


def with_pip(directory):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version=3.12", "--implementation=cp", "--platform=" + PLATFORM]
    subprocess.run(command + ["--dest=" + directory, "pyproj==" + VERSION], check=True)
    return os.path.join(directory, next(name for name in os.listdir(directory) if name.endswith(".whl")))


directory = sys.argv[1]
try:
    wheel = with_pip(directory)
except (OSError, subprocess.CalledProcessError, StopIteration):
    wheel = download_wheel("pyproj", VERSION, PLATFORM, directory)
with zipfile.ZipFile(wheel) as archive, open(os.path.join(directory, "proj.db.new"), "wb") as out:
    out.write(archive.read(INSIDE))
os.rename(os.path.join(directory, "proj.db.new"), os.path.join(directory, "proj.db"))
os.remove(wheel)

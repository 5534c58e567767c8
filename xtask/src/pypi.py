"""A wheel from PyPI, where there is no pip."""
import hashlib
import os
import re
import urllib.parse
import urllib.request


def download_wheel(package, version, tags, directory):
    index = "https://pypi.org/simple/" + package + "/"
    with urllib.request.urlopen(index, timeout=60) as answer:
        links = re.findall(r'href="([^"#]+)#sha256=([0-9a-f]+)"', answer.read().decode())
    name, end = "/" + package + "-" + version + "-", tags + ".whl"
    url, digest = next(link for link in links if name in link[0] and link[0].endswith(end))
    with urllib.request.urlopen(urllib.parse.urljoin(index, url), timeout=60) as answer:
        wheel = answer.read()
    if hashlib.sha256(wheel).hexdigest() != digest:
        raise ValueError(url + " is not what its index says it is")
    path = os.path.join(directory, url.rsplit("/", 1)[1])
    with open(path, "wb") as out:
        out.write(wheel)
    return path

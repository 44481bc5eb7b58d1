"""All of the project's metadata: `pip install .` gives the package `yolov7`."""

from pathlib import Path

from setuptools import find_packages, setup

CORE = [
    "torch>=2.6",
    "torchvision>=0.21",
    "numpy>=1.26",
    "scipy>=1.11",
    "fvcore>=0.1.5.post20221221",
    "iopath>=0.1.10",
    "yacs>=0.1.8",
    "omegaconf>=2.3,<2.4",
    "timm>=1.0.31",
    "opencv-python-headless>=4.9",
    "pycocotools>=2.0.8",
    "hotcoco>=1.3",
    "tensorboard>=2.16",
    "matplotlib>=3.8",
    "pillow>=10",
    "rich>=13",
    "tqdm>=4.66",
]
DIGITS = ["scikit-learn>=1.4", "scikit-image>=0.22"]
DEV = ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "ruff>=0.6", "mypy>=1.10"]

# In the wheel, the scripts and configs of the repository lie in `yolov7/resources`, where
# `yolov7.utils.resources` looks for them.
RESOURCES = {
    "yolov7.resources": ".",
    "yolov7.resources.configs": "configs",
    "yolov7.resources.datasets": "datasets",
    "yolov7.resources.tools": "tools",
}

setup(
    name="yolov7",
    version="0.1.0",
    description="YOLOv7 - Beyond Detection: a research framework for detection and segmentation",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[*find_packages(include=["yolov7", "yolov7.*"]), *list(RESOURCES)[1:]],
    package_dir=RESOURCES,
    package_data={"yolov7.resources.configs": ["**/*.yaml", "**/*.py"]},
    py_modules=["yolov7.resources.demo", "yolov7.resources.train_net"],
    entry_points={"console_scripts": ["yolov7 = yolov7.command:main"]},
    install_requires=CORE,
    extras_require={"digits": DIGITS, "dev": DEV + DIGITS},
)

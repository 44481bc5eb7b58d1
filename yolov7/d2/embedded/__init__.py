"""The project's own implementation of the names of `yolov7.d2`, one concept a file.

Used where detectron2 is not installed. Import the names from `yolov7.d2`, never from here.
"""

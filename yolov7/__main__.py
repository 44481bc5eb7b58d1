"""`python -m yolov7 VERB …`, also for torchrun: `torchrun -m yolov7 train …`."""

from yolov7.command import main

main()

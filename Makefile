# On a Debian or Ubuntu x86-64 machine without ROS 2 (it comes as wheels into a virtual environment):
#   make demo                     hands on the bundled clip, by real ROS 2 nodes; results in demo_out/
#   make demo VIDEO=file.mp4      ... on your own clip
#   make demo CAMERA=0            ... on /dev/video0
#   make teleop                   a hand on the bundled clip moves a simulated robot hand; results in teleop_out/
#   make teleop VIDEO=file.mp4    ... on your own clip of a right hand
#   make teleop CAMERA=0          ... from /dev/video0, live, by real ROS 2 nodes; Ctrl-C ends it
#   make test                     all tests, against the installed package; ARGS='-k name' goes to pytest
#   make colcon                   colcon build and colcon test in a workspace, against the same wheels; without torch
#   make soak MINUTES=30          hand_node at 30 Hz through random faults: memory, latency, recovery; SEED=n again
#   make four-cameras             four cameras at 5 Hz with a hand_node each: rate, latency, CPU
#   make check-paper              the model `paper` at full depth: parameters, FLOPs, export; minutes, 16 GB
#   make regression CASTS=4       rendered sequences against their limits, with the hands of 4 people; EVAL=FOLDER adds a real video and the stereo pair
#   make figures EVAL=FOLDER SHARDS=FOLDER   the evaluations behind the tables in README, model card and docs; docs/training.md
#   make audit                    known vulnerabilities and licences of what it runs on; needs the network
#   make lint clean
# Options: ROS_DISTRO=jazzy|kilted  PYTHON=python3.12  TORCH='torch==2.13.0'
# TORCH is what pip installs for the tests. From PyPI that brings gigabytes of CUDA; the CPU build does as well:
#   make test TORCH='torch==2.13.0 --index-url URL'     URL: pytorch.org, "Get started", Compute Platform CPU

DISTROS := jazzy kilted
PYTHON ?= python3
TORCH ?= torch==2.13.0
ROS_DISTRO ?= jazzy
ifeq ($(filter $(ROS_DISTRO),$(DISTROS)),)
  ifeq ($(origin ROS_DISTRO),environment)
    # A sourced ROS 2 for which there are no wheels: the environments made here are independent of it.
    ROS_DISTRO := jazzy
  else
    $(error ROS_DISTRO=$(ROS_DISTRO) has no wheels: use one of $(DISTROS))
  endif
endif

# Nothing of a sourced ROS 2 may leak into the virtual environments.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH PYTHONHOME
unexport RMW_IMPLEMENTATION ROS_LOCALHOST_ONLY _ROS_WHEELS_BOOTSTRAP_COMPLETE
export ROS_DISTRO
# Python 3.11 and later: the sources in this folder do not hide the installed package.
export PYTHONSAFEPATH := 1

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo teleop test colcon soak four-cameras check-paper regression figures lint audit clean

MINUTES ?= 30
CASTS ?= 4
DEMO_VENV := .venv
TELEOP_VENV := .venv-teleop
TEST_VENV := .venv-test-$(ROS_DISTRO)
COLCON_VENV := .venv-colcon-$(ROS_DISTRO)
SOURCES := CMakeLists.txt package.xml setup.py pyproject.toml \
  $(shell find maskhand_ros msg srv launch config examples scripts cmake vendor -type f -not -name '*.pyc')

# $(call pip,VENV,arguments): pip, showing one line per package
pip = $(1)/bin/python -m pip --disable-pip-version-check install --progress-bar off $(2) \
  | sed -un 's/^Collecting \([^ ]*\).*/    \1/p'
DEMO_EXTRAS := cpu,demo,video
# What pip would bring with the package and its extras cpu, demo and test: colcon installs no dependencies.
COLCON_NEEDS := colcon-common-extensions opencv-python-headless onnxruntime rosbags mcap av pytest hypothesis scipy pyyaml
# Ubuntu 24.04, on which Jazzy runs, has NumPy 1.26; the other distribution is tested with NumPy 2.
NUMPY_jazzy := 'numpy==1.26.*' 'opencv-python-headless<4.12'
TEST_EXTRAS := cpu,demo,video,train,teleop,label,test
TELEOP_EXTRAS := cpu,video,teleop
# $(call install,VENV,extras): this package, built against the wheels that the environment already holds
install = PATH="$(abspath $(1))/bin:$$PATH" $(call pip,$(1),--no-build-isolation '.[$(2)]')

demo: $(DEMO_VENV)/.installed-$(ROS_DISTRO)
	@AMENT_PREFIX_PATH="$(abspath $(DEMO_VENV))" ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST \
	$(DEMO_VENV)/bin/maskhand demo --out demo_out \
	  $(if $(VIDEO),--video '$(VIDEO)') $(if $(CAMERA),--camera $(CAMERA)) $(DEMO_ARGS)

# In an environment of its own: MuJoCo and what mink needs are 240 MB that the demo does without.
teleop: $(TELEOP_VENV)/.installed-$(ROS_DISTRO)
	@AMENT_PREFIX_PATH="$(abspath $(TELEOP_VENV))" $(TELEOP_VENV)/bin/maskhand teleop --out teleop_out \
	  $(if $(VIDEO),--video '$(VIDEO)') $(if $(CAMERA),--ros --camera $(CAMERA)) $(TELEOP_ARGS)

# From another folder: here the sources would hide the installed package.
test: $(TEST_VENV)/.installed-$(ROS_DISTRO)
	@cd $(TEST_VENV) && AMENT_PREFIX_PATH="$$PWD" bin/pytest -c '$(CURDIR)/pyproject.toml' '$(CURDIR)/test' $(ARGS)

# What needs torch is skipped; ARGS goes to pytest. tf2_msgs is not among the wheels.
colcon: $(COLCON_VENV)/.wheels-$(ROS_DISTRO)
	@$(call pip,$(COLCON_VENV),$(COLCON_NEEDS) $(NUMPY_$(ROS_DISTRO)))
	@mkdir -p $(COLCON_VENV)/ws && cd $(COLCON_VENV)/ws && unset PYTHONSAFEPATH && \
	export AMENT_PREFIX_PATH='$(abspath $(COLCON_VENV))' CMAKE_PREFIX_PATH='$(abspath $(COLCON_VENV))' \
	  PATH="$(abspath $(COLCON_VENV))/bin:$$PATH" PYTEST_ADDOPTS="$(ARGS)" && \
	colcon build --base-paths '$(CURDIR)' '$(CURDIR)/vendor/tf2_msgs' \
	  --cmake-args -DCMAKE_PROJECT_INCLUDE='$(CURDIR)/cmake/wheel_fixups.cmake' \
	  -DPython3_EXECUTABLE='$(abspath $(COLCON_VENV))/bin/python' && \
	set +u && source install/setup.bash && \
	colcon test --base-paths '$(CURDIR)' --packages-select maskhand_ros --return-code-on-test-failure \
	  --event-handlers console_direct+

# As scripts they need the folder that they lie in on the path; it hides nothing.
soak: $(TEST_VENV)/.installed-$(ROS_DISTRO)
	@cd $(TEST_VENV) && PYTHONSAFEPATH= bin/python '$(CURDIR)/test/nodes/soak.py' --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

four-cameras: $(TEST_VENV)/.installed-$(ROS_DISTRO)
	@cd $(TEST_VENV) && PYTHONSAFEPATH= bin/python '$(CURDIR)/test/nodes/four_cameras.py'

check-paper: $(TEST_VENV)/.installed-$(ROS_DISTRO)
	@cd $(TEST_VENV) && bin/python -m maskhand_ros.tools.check_paper

# Each command ends with status 1 where a limit is missed.
regression: $(TEST_VENV)/.installed-$(ROS_DISTRO)
	@cd $(TEST_VENV) && export AMENT_PREFIX_PATH="$$PWD" && \
	bin/maskhand evaluate-video --casts $(CASTS) $(if $(EVAL),--video '$(abspath $(EVAL))/videos/dex_human_hand.mp4') \
	  $(if $(EVAL),&& bin/maskhand evaluate-stereo '$(abspath $(EVAL))/stereo' \
	    && bin/maskhand evaluate-teleop --video '$(abspath $(EVAL))/videos/dex_human_hand.mp4')

# Each command writes its figures to FIGURES; make_numbers.py copies them into docs/figures.json and the tables.
FIGURES := $(TEST_VENV)/figures
figures: $(TEST_VENV)/.installed-$(ROS_DISTRO)
	@test -n '$(EVAL)' -a -n '$(SHARDS)' || { echo 'Give EVAL=FOLDER (evaluation data) and SHARDS=FOLDER (rendered splits): see docs/training.md' >&2; exit 2; }
	@mkdir -p $(FIGURES)
	@cd $(TEST_VENV) && export AMENT_PREFIX_PATH="$$PWD" && out='$(abspath $(FIGURES))' && \
	bin/maskhand bench --hands 1 --peer mediapipe --json "$$out/bench_1.json" && \
	bin/maskhand bench --hands 2 --peer mediapipe --json "$$out/bench_2.json" && \
	bin/maskhand bench --ros --json "$$out/bench_ros_480.json" && \
	bin/maskhand bench --ros --size 1280x720 --json "$$out/bench_ros_720.json" && \
	bin/maskhand evaluate '$(abspath $(EVAL))/index.json' --peer mediapipe --json "$$out/evaluate.json" && \
	bin/maskhand evaluate '$(abspath $(EVAL))/index.json' --peer mediapipe --keypoint-set anatomical \
	  --json "$$out/evaluate_anatomical.json" && \
	for set in wild gestures; do \
	  bin/maskhand evaluate "$(abspath $(EVAL))/$$set.json" --peer mediapipe --json "$$out/evaluate_$$set.json" || exit; done && \
	bin/maskhand evaluate-stereo '$(abspath $(EVAL))/stereo' --peer mediapipe --json "$$out/evaluate_stereo.json" && \
	bin/maskhand evaluate-video --video '$(abspath $(EVAL))/videos/dex_human_hand.mp4' --json "$$out/evaluate_video.json" && \
	bin/maskhand train evaluate --data '$(abspath $(SHARDS))' --json "$$out/train_evaluate.json" && \
	bin/maskhand train evaluate --data '$(abspath $(SHARDS))' --iterations 1 --hypotheses 0 \
	  --splits test_everyday test_objects test_gloves test_clasped test_own_view --json "$$out/train_evaluate_everyday.json"
	$(TEST_VENV)/bin/python docs/make_numbers.py collect $(FIGURES)

lint: $(DEMO_VENV)/.wheels-$(ROS_DISTRO)
	$(call pip,$(DEMO_VENV),ruff mypy)
	$(DEMO_VENV)/bin/ruff check .
	$(DEMO_VENV)/bin/ruff format --check .
	$(DEMO_VENV)/bin/mypy maskhand_ros

# Of what the package runs on: neither the ROS 2 wheels (pinned, from their own index) nor build and test tools.
audit: $(DEMO_VENV)/.installed-$(ROS_DISTRO)
	$(DEMO_VENV)/bin/python scripts/licences.py maskhand-ros '$(DEMO_EXTRAS)' > $(DEMO_VENV)/runtime.txt
	@$(call pip,$(DEMO_VENV),pip-audit)
	$(DEMO_VENV)/bin/pip-audit --no-deps --disable-pip -r $(DEMO_VENV)/runtime.txt

clean:
	rm -rf .venv .venv-teleop .venv-test-* .venv-colcon-* build install log demo_out teleop_out *.egg-info
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# An environment holds one distribution only: a change of it, or of its list, starts a new one.
%/.wheels-$(ROS_DISTRO): requirements/$(ROS_DISTRO).txt requirements/build.txt
	@requirements/machine.sh $(PYTHON)
	@echo "ROS 2 $(ROS_DISTRO) wheels into $(@D) (about 270 MB)"
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(call pip,$(@D),-r requirements/build.txt -r $<)
	@touch $@

$(DEMO_VENV)/.installed-$(ROS_DISTRO): $(DEMO_VENV)/.wheels-$(ROS_DISTRO) $(SOURCES)
	@echo "Building maskhand_ros into $(@D) (messages are compiled: about half a minute)"
	@$(call install,$(@D),$(DEMO_EXTRAS))
	@touch $@

$(TELEOP_VENV)/.installed-$(ROS_DISTRO): $(TELEOP_VENV)/.wheels-$(ROS_DISTRO) $(SOURCES)
	@echo "Building maskhand_ros into $(@D) (messages are compiled: about half a minute)"
	@$(call install,$(@D),$(TELEOP_EXTRAS))
	@touch $@

$(TEST_VENV)/.torch: $(TEST_VENV)/.wheels-$(ROS_DISTRO)
	@echo "$(TORCH) into $(@D)"
	@$(call pip,$(@D),$(TORCH))
	@touch $@

$(TEST_VENV)/.installed-$(ROS_DISTRO): $(TEST_VENV)/.torch $(SOURCES)
	@echo "Building maskhand_ros into $(@D) (messages are compiled: about half a minute)"
	@$(call install,$(@D),$(TEST_EXTRAS))
	@touch $@

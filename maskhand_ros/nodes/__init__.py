"""The ROS 2 nodes: conversion of messages, topics, parameters and diagnostics around `perception`."""

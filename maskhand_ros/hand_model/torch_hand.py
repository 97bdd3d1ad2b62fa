"""The same hand as `numpy_hand`, differentiable, for training and export."""

from __future__ import annotations

import torch
from torch import nn

from maskhand_ros.hand_model.numpy_hand import HandModel, HandOutput
from maskhand_ros.skeleton import JOINT_PARENTS


class TorchHand(nn.Module):
    """A right hand as a module without parameters; `hand` is a `HandModel` (default: the open hand)."""

    def __init__(self, hand: HandModel | None = None) -> None:
        super().__init__()
        hand = hand or HandModel.load()
        self.faces = hand.faces
        buffers = {
            'v_template': hand.v_template,
            'shapedirs': hand.shapedirs,
            'posedirs': hand.posedirs,
            'weights': hand.weights,
            'joint_template': hand.J_regressor @ hand.v_template,
            'keypoint_regressor': hand.keypoint_regressor,
            'keypoint_vertices': hand.keypoint_vertices,
        }
        for name, value in buffers.items():
            self.register_buffer(name, None if value is None else torch.as_tensor(value), persistent=False)
        regressor = torch.as_tensor(hand.J_regressor)
        self.register_buffer(
            'joint_shapedirs', torch.einsum('jv,vck->jck', regressor, self.shapedirs), persistent=False
        )

    def forward(
        self, betas: torch.Tensor, global_orient: torch.Tensor, hand_pose: torch.Tensor, vertices: bool = True
    ) -> HandOutput:
        """betas (B, 10), global_orient (B, 3, 3), hand_pose (B, 15, 3, 3) -> HandOutput of tensors, wrist at
        origin."""
        local = torch.cat([global_orient[:, None], hand_pose], 1)
        chosen = slice(None) if vertices else self.keypoint_vertices
        shaped = self.v_template[chosen] + torch.einsum('vck,bk->bvc', self.shapedirs[chosen], betas)
        if self.posedirs is not None:
            feature = (hand_pose - torch.eye(3, device=betas.device)).flatten(1)
            shaped = shaped + torch.einsum('vcp,bp->bvc', self.posedirs[chosen], feature)
        rest_joints = self.joint_template + torch.einsum('jck,bk->bjc', self.joint_shapedirs, betas)
        rotations, joints = self._chain(local, rest_joints)
        offsets = joints - (rotations @ rest_joints[..., None])[..., 0]
        transforms = torch.cat([rotations, offsets[..., None]], -1).flatten(2)
        per_vertex = (self.weights[chosen] @ transforms).unflatten(2, (3, 4))
        skinned = (per_vertex[..., :3] @ shaped[..., None])[..., 0] + per_vertex[..., 3]
        support = skinned[:, self.keypoint_vertices] if vertices else skinned
        keypoints = (
            self.keypoint_regressor[:, :16] @ joints
            + self.keypoint_regressor[:, 16:][:, self.keypoint_vertices] @ support
        )
        return HandOutput(skinned if vertices else None, joints, keypoints, rotations)

    def keypoints(
        self, betas: torch.Tensor, global_orient: torch.Tensor, hand_pose: torch.Tensor
    ) -> torch.Tensor:
        """(B, 21, 3) keypoints, wrist pivot at the origin; skins only the vertices they need."""
        return self(betas, global_orient, hand_pose, vertices=False).keypoints

    @staticmethod
    def _chain(local: torch.Tensor, rest_joints: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rotations, joints = [local[:, 0]], [torch.zeros_like(rest_joints[:, 0])]
        for joint in range(1, 16):
            parent = int(JOINT_PARENTS[joint])
            bone = rest_joints[:, joint] - rest_joints[:, parent]
            rotations.append(rotations[parent] @ local[:, joint])
            joints.append(joints[parent] + (rotations[parent] @ bone[..., None])[..., 0])
        return torch.stack(rotations, 1), torch.stack(joints, 1)

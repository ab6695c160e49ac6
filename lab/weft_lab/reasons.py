"""Every reason of an Event that the lab's parts emit; compare weft.reasons."""

from __future__ import annotations

from weft.reasons import NORMAL, POD, WARNING, EventReason

VM = "VirtualMachine"
EITHER = "Pod and VirtualMachine"
_SEEN = "[what a pod sees](lab.md#what-a-pod-sees)"


class Reason(EventReason):
    """Those of a kubelet, a scheduler, Multus and KubeVirt, and the lab's own."""

    NO_NETWORK_FOUND = (
        *("NoNetworkFound", POD, WARNING),
        (
            "cannot find a network-attachment-definition …",
            "Create the NAD. Without a namespace in the annotation, the pod's own is meant.",
        ),
    )
    FAILED_CREATE_POD_SANDBOX = (
        *("FailedCreatePodSandBox", POD, WARNING),
        ("failed to find plugin …", "The NAD's `type` is no plugin of this node."),
        (
            "may not use network …: it belongs to namespace …",
            "The NAD that is named in brackets has to [let the pod's namespace in]"
            "(../how-to/share-a-network.md). The pod goes on then.",
        ),
        (
            "is not ready after … s",
            "A pod gets all of its networks or none. The message names the NAD that holds it up, "
            "to create, mend or allow, or who is late: the cluster manager, ovs-vswitchd or "
            "ovn-controller. Its log says why.",
        ),
        (
            "is not taken by the kernel…",
            "There is no such sysctl in the pod's network, or it has no such value.",
        ),
    )
    FAILED_SCHEDULING = (
        *("FailedScheduling", POD, WARNING),
        ("…", "No node has what the pod asks for. A node that changes is tried at once."),
    )
    SYSCTL_FORBIDDEN = (
        *("SysctlForbidden", POD, WARNING),
        (
            "forbidden sysctl: … not allowlisted",
            "A pod of the lab sets parameters of its own network alone: `net.*`, and none with "
            "`hostNetwork`. Recreate it without them.",
        ),
    )
    FAILED_MOUNT = (
        *("FailedMount", POD, WARNING),
        (
            "volume …: …",
            "The volume asks for what is no file of the pod's metadata. A pod that runs keeps the "
            "files that it has.",
        ),
    )
    SECURITY_CONTEXT = (
        *("SecurityContext", POD, WARNING),
        (
            "privileged gives every capability inside the pod alone…",
            f"In the lab a privileged pod does not reach its node's files, devices and network: "
            f"{_SEEN}.",
        ),
    )
    FAILED = (
        *("Failed", EITHER, WARNING),
        (
            "Error: failed to start container …: …",
            "As on a real cluster: the program is not there, or ends. A `hostDisk` path of a "
            "machine has to be below a folder that the lab's owner names: "
            "`weft lab up --disks FOLDER`.",
        ),
    )
    BACK_OFF = (
        *("BackOff", POD, WARNING),
        (
            "Back-off restarting failed container …",
            "The container ends again and again. `kubectl logs -p` shows its last words.",
        ),
    )
    FAILED_KILL_POD = (
        *("FailedKillPod", POD, WARNING),
        (
            "…: …",
            "A CNI DEL failed. The kubelet tries again; the message names the plugin's reason.",
        ),
    )
    FIELD_IGNORED = (
        *("FieldIgnored", EITHER, WARNING),
        (
            "not followed by the lab: …",
            "The field is a slip, or has an effect on a real cluster and none in the lab. "
            f"`kubectl explain` says what becomes of each field; {_SEEN}.",
        ),
    )
    SCHEDULED = "Scheduled", POD, NORMAL, ("Successfully assigned … to …", "")
    ADDED_INTERFACE = "AddedInterface", POD, NORMAL, ("Add … […] from …", "")
    PULLED = "Pulled", POD, NORMAL, ("…", "The lab pulls no images; the message says what runs.")
    CREATED = "Created", POD, NORMAL, ("Created container: …", "")
    STARTED = "Started", POD, NORMAL, ("Started container …", "")
    KILLING = "Killing", POD, NORMAL, ("Stopping container …", "")

    INVALID_SPEC = (
        *("InvalidSpec", VM, WARNING),
        (
            "…: …",
            "The manifest is wrong at the field that is named; `kubectl get vm` shows `Invalid`. "
            "Apply it corrected.",
        ),
    )
    INSTANCE_FAILED = (
        *("InstanceFailed", VM, WARNING),
        (
            "…",
            "The last words of QEMU or of virt-launcher. It is tried again with pauses of 5 s to "
            "5 min.",
        ),
    )
    VMI_OWNER_CONFLICT = (
        *("VMIOwnerConflict", VM, WARNING),
        (
            "an instance of this name is not this VM's",
            "Delete the VirtualMachineInstance of that name, or rename the VirtualMachine.",
        ),
    )
    ADDRESS_NOT_ALLOCATED = (
        *("AddressNotAllocated", VM, WARNING),
        (
            "interface …: the guest has …, but … gave it …",
            "Port security lets a guest send from what its network gave it alone. Ask for the "
            "address in the manifest, or use a network without subnets.",
        ),
    )
    VOLUME_IGNORED = (
        *("VolumeIgnored", VM, WARNING),
        ("is not available in the lab", "The guest does not see this volume."),
        (
            "spec.domain.devices.disks has no disk of its name",
            "Likewise. Name the volume in `disks`.",
        ),
    )
    CLOUD_INIT_IGNORED = (
        *("CloudInitIgnored", VM, WARNING),
        (
            "the built-in guest does not follow…: …",
            "The other parts of the cloud-init data are followed. An image of your own follows "
            "all.",
        ),
        (
            "cloud-init …",
            "This part cannot be read, or a part of `networkData` names no card of the machine, or "
            "one that another part configures.",
        ),
    )
    BUILT_IN_GUEST = (
        *("BuiltInGuest", VM, NORMAL),
        (
            "the built-in guest … serves instead",
            "No mistake: the lab pulls no images and boots its own small guest.",
        ),
    )
    MODEL_REPLACED = (
        *("ModelReplaced", VM, NORMAL),
        (
            "the built-in guest has no driver for …",
            "No mistake: an image of your own gets the card that you name.",
        ),
    )
    BINDING_REPLACED = (
        *("BindingReplaced", VM, NORMAL),
        (
            "… on the pod's own network is served as masquerade",
            "No mistake: the guest has an address of its own behind the pod's.",
        ),
    )
    SUCCESSFUL_CREATE = (
        *("SuccessfulCreate", VM, NORMAL),
        ("started the instance …", ""),
        ("created pod …", ""),
    )
    SUCCESSFUL_DELETE = "SuccessfulDelete", VM, NORMAL, ("stopped the instance …", "")

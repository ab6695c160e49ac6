"""Every reason of an Event that the lab's parts emit; compare weft.reasons."""

from __future__ import annotations

from weft.eventreasons import NORMAL, POD, WARNING, EventReason

VM = "VirtualMachine"
VMIM = "VirtualMachineInstanceMigration"
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
        ("failed to find plugin …", "This node has no CNI plugin of the NAD's `type`."),
        (
            "may not use network …: it belongs to namespace …",
            "The NAD in brackets must [let the pod's namespace "
            "in](../how-to/share-a-network.md). The pod then starts by itself.",
        ),
        (
            "is not ready after … s",
            "A pod gets all of its networks or none. The message names the NAD to create, "
            "correct or share, or the program that is late: the cluster manager, ovs-vswitchd "
            "or ovn-controller. The program's log says why.",
        ),
        (
            "is not taken by the kernel…",
            "The pod's network has no such sysctl, or the kernel refuses the value.",
        ),
    )
    FAILED_SCHEDULING = (
        *("FailedScheduling", POD, WARNING),
        (
            "…",
            "No node meets the pod's requirements. The scheduler tries again when a node changes.",
        ),
    )
    SYSCTL_FORBIDDEN = (
        *("SysctlForbidden", POD, WARNING),
        (
            "forbidden sysctl: … not allowlisted",
            "In the lab a pod may set only parameters of its own network: `net.*`, and none "
            "with `hostNetwork`. Recreate the pod without the others.",
        ),
    )
    FAILED_MOUNT = (
        *("FailedMount", POD, WARNING),
        (
            "volume …: …",
            "The volume names a field that the pod does not have. A running pod keeps its files.",
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
            "The program does not exist, or cannot run. A `hostDisk` path of a machine has to "
            "be below a folder that the lab's owner names: `weft lab up --disks FOLDER`.",
        ),
    )
    BACK_OFF = (
        *("BackOff", POD, WARNING),
        (
            "Back-off restarting failed container …",
            "The container ends again and again. `kubectl logs -p` shows its last output.",
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
            "The field is misspelt, or has an effect on a cluster but none in the lab. `kubectl "
            "explain` describes each field; ",
        ),
    )
    SCHEDULED = "Scheduled", POD, NORMAL, ("Successfully assigned … to …", "")
    ADDED_INTERFACE = "AddedInterface", POD, NORMAL, ("Add … […] from …", "")
    REMOVED_INTERFACE = "RemovedInterface", POD, NORMAL, ("removed interface … from network …", "")
    FAILED_ADDING_INTERFACE = (
        *("FailedAddingInterface", POD, WARNING),
        (
            "interface …: …",
            "A network was added to a running pod. The message says what its interface waits for; "
            "the pod's other interfaces work. It is tried again.",
        ),
    )
    FAILED_REMOVING_INTERFACE = (
        *("FailedRemovingInterface", POD, WARNING),
        ("interface …: …", "The pod keeps the interface and its address. It is tried again."),
    )
    PULLED = "Pulled", POD, NORMAL, ("…", "The lab pulls no images; the message says what runs.")
    CREATED = "Created", POD, NORMAL, ("Created container: …", "")
    STARTED = "Started", POD, NORMAL, ("Started container …", "")
    KILLING = "Killing", POD, NORMAL, ("Stopping container …", "")

    NIC_NOT_CHANGED = (
        *("NicNotChanged", "VirtualMachineInstance", WARNING),
        (
            "interface …: the guest has not released its NIC within … s",
            "The guest keeps a NIC that is to be unplugged. It is asked again; a guest without "
            "PCIe hotplug has to be restarted.",
        ),
        (
            "interface …: the machine has no PCIe root port left of … spare ones",
            "A machine starts with root ports for four NICs. Restart it to have more.",
        ),
    )
    INVALID_SPEC = (
        *("InvalidSpec", VM, WARNING),
        (
            "…: …",
            "The named field is wrong; `kubectl get vm` shows `Invalid`. Correct the manifest "
            "and apply it.",
        ),
    )
    INSTANCE_FAILED = (
        *("InstanceFailed", VM, WARNING),
        (
            "…",
            "The message is the last output of QEMU or virt-launcher. The machine is started "
            "again after 5 s to 5 min.",
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
            "Port security drops packets from addresses that weft did not allocate. Request the "
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
            "The other parts of the cloud-init data have effect. With an image of your own, all "
            "have.",
        ),
        (
            "cloud-init …",
            "This part cannot be read, or a part of `networkData` names no NIC of the machine, "
            "or one that another part configures.",
        ),
    )
    BUILT_IN_GUEST = (
        *("BuiltInGuest", VM, NORMAL),
        (
            "the built-in guest … serves instead",
            "This is no mistake: the lab pulls no images and boots its own small guest.",
        ),
    )
    MODEL_REPLACED = (
        *("ModelReplaced", VM, NORMAL),
        (
            "the built-in guest has no driver for …",
            "This is no mistake: an image of your own gets the NIC model that you name.",
        ),
    )
    BINDING_REPLACED = (
        *("BindingReplaced", VM, NORMAL),
        (
            "… on the pod's own network is served as masquerade",
            "This is no mistake: the guest has its own address behind the pod's.",
        ),
    )
    SUCCESSFUL_CREATE = (
        *("SuccessfulCreate", VM, NORMAL),
        ("started the instance …", ""),
        ("created pod …", ""),
        ("Created migration target pod …", ""),
        ("Created Migration …", ""),
    )
    SUCCESSFUL_DELETE = (
        *("SuccessfulDelete", VM, NORMAL),
        ("stopped the instance …", ""),
        ("migration canceled and pod … is deleted", ""),
        ("unschedulable pod … timeout period exceeded", ""),
        ("pending pod … timeout period exceeded", ""),
        (
            "pod … is deleted: this migration has not made it",
            "Its label names the migration. Find out who makes pods with labels of KubeVirt.",
        ),
    )

    SUCCESSFUL_HAND_OVER = (
        *("SuccessfulHandOver", VMIM, NORMAL),
        ("Migration target pod is ready for preparation by virt-handler.", ""),
    )
    SUCCESSFUL_MIGRATION = (
        *("SuccessfulMigration", VMIM, NORMAL),
        ("Source node reported migration succeeded", ""),
    )
    MIGRATION_MEASURED = (
        *("MigrationMeasured", VMIM, NORMAL),
        (
            "the guest stood still…",
            "What it cost: [move a machine](../how-to/move-a-machine.md).",
        ),
    )
    SUCCESSFUL_ABORT_MIGRATION = (
        *("SuccessfulAbortMigration", VMIM, NORMAL),
        ("Migration is ready to be canceled by virt-handler.", ""),
    )
    FAILED_MIGRATION = (
        *("FailedMigration", VMIM, WARNING),
        (
            "Cannot migrate VMI, Reason: …, Message: …",
            "The condition `LiveMigratable` of the instance says the same. Change the named part "
            "of the manifest and restart the machine.",
        ),
        (
            "VMI is not eligible for migration because another migration job is in progress.",
            "Wait for the other one, or cancel it.",
        ),
        (
            "…: allowPostCopy is not supported…",
            "The cluster's migration settings ask for what the lab does not do. Correct the "
            "ConfigMap and migrate again.",
        ),
        (
            "VirtualMachineInstance migration uid … failed. reason: …",
            "An Event of the instance: it runs on where it was.",
        ),
        (
            "…",
            "The machine runs on where it was. `failureReason` in the migration's "
            "`status.migrationState` says what ended it.",
        ),
    )
    MIGRATION_TARGET_POD_UNSCHEDULABLE = (
        *("migrationTargetPodUnschedulable", VMIM, WARNING),
        (
            "Migration target pod for VMI […] is currently unschedulable.",
            "No other node fits the machine. Its pod's events say why; after 5 minutes the "
            "migration fails.",
        ),
    )
    NODE_UNRESPONSIVE = (
        *("NodeUnresponsive", VM, NORMAL),
        (
            "virt-handler on node … is not responsive, marking VMI as failed",
            "The Node of the machine was deleted. Its run strategy may start it on another one.",
        ),
    )
    PAUSED = "Paused", VM, NORMAL, ("VirtualMachineInstance paused", "")
    UNPAUSED = "Unpaused", VM, NORMAL, ("VirtualMachineInstance unpaused", "")
    RESET = "Reset", VM, NORMAL, ("VirtualMachineInstance reset", "")
    SOFT_REBOOTED = "SoftRebooted", VM, NORMAL, ("VirtualMachineInstance soft rebooted", "")
    FREEZE_ERROR = (
        *("FreezeError", VM, WARNING),
        (
            "Failed to freeze VMI: …",
            "The guest's file systems were not frozen: the message says why. Its agent has to run.",
        ),
    )
    MIGRATING = "Migrating", VM, NORMAL, ("VirtualMachineInstance is migrating.", "")
    PREPARING_TARGET = (
        *("PreparingTarget", VM, NORMAL),
        ("Migration Target is listening at …, on ports: …", ""),
    )
    MIGRATED = (
        *("Migrated", VM, NORMAL),
        ("The VirtualMachineInstance migrated to node ….", ""),
    )


class WarningReason(EventReason):
    """What KubeVirt warns of by a reason that it has for something else, too."""

    NOT_MIGRATABLE = (
        *("Migrated", VM, WARNING),
        (
            "EvictionStrategy is set but vmi is not migratable; …",
            "The machine's node cannot be drained: `evictionStrategy: LiveMigrate` keeps the "
            "machine there. Change what the message names, or use `LiveMigrateIfPossible`.",
        ),
    )


REASONS: tuple[EventReason, ...] = (*Reason, *WarningReason)

# shellcheck shell=sh
# local-mpi.sh - sourced by scripts that start ranks on this machine: lets Open MPI run more ranks than cores, unbound
# (else two programs share the first core), and as root (in a container).  Other MPIs do not look at these variables.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none               # Open MPI 4
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe PRTE_MCA_hwloc_default_binding_policy=none # Open MPI 5
export OMPI_MCA_orte_execute_quiet=1 # wabun has told what went wrong
export OMPI_MCA_odls_base_sigkill_timeout=10 # after Ctrl-C, ranks have twice these seconds to save; mpirun would give 2 x 1
